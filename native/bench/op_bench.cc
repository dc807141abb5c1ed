// Times every bench case of every op, forward and backward, against roofs measured in the same run.
//   hint_op_bench [--op NAME]... [--dtype f32|bf16] [--device cpu|cuda|cuda:N] [--threads N] [--samples N] [--json]
//     --dtype bf16: cases with every tensor in bf16 that may be; ops without such tensors are left out. On
//     the CPU, whose kernels are f32, matrix products are compared with f32 ones.
//     Ops without a kernel for the device are left out.
//     --samples 0, on a device: one run of everything, to see that it runs

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "native/bench/device_bench.h"
#include "native/bench/roofs.h"
#include "native/core/error.h"
#include "native/core/table.h"
#include "native/runtime/parallel.h"
#include "native/runtime/stream.h"
#include "native/tests/case.h"
#include "native/tests/device_call.h"

namespace {

using namespace hint;

struct Options {
  std::vector<std::string> ops;
  int threads = availableCores();
  int samples = 15;
  std::string device = "cpu";
  DType dtype = DType::f32;
  bool json = false;
};

struct Row {
  std::string op, name;
  bool backward;
  double seconds, gflops, gigabytes;  ///< rates per second
  bool compute;                       ///< whether the roof of compute, not of memory, is the limit
  double share;                       ///< of that roof
};

/// Integer state that an op advances. It is restored before every run, so that each run does the same work.
class IntegerState {
 public:
  explicit IntegerState(const Call& call) {
    for (size_t i = 0; i < call.inputs.size() && !call.backward; ++i)
      if (call.inputPresent[i] && call.inputs[i].dtype == DType::i32 && (call.spec->inputs[i].flags & kMutable))
        saved_.emplace_back(call.inputs[i], IntList(call.inputs[i].data<int32_t>(),
                                                    call.inputs[i].data<int32_t>() + call.inputs[i].size()));
  }
  bool empty() const { return saved_.empty(); }
  void restore() const {
    for (const auto& [tensor, values] : saved_) std::copy(values.begin(), values.end(), tensor.data<int32_t>());
  }

 private:
  std::vector<std::pair<Tensor, IntList>> saved_;
};

double secondsOnCpu(Call& call, int samples) {
  const IntegerState state(call);
  const auto run = [&] { Stream::execute(call); };
  return state.empty() ? bench::medianSeconds(samples, run)
                       : bench::medianSeconds(samples, run, [&] { state.restore(); });
}

Row measure(Call& call, const std::string& name, const bench::Roofs& roofs, int samples, Stream* device) {
  const double seconds =
      device ? bench::secondsOnDevice(*device, call, samples) : secondsOnCpu(call, std::max(samples, 1));
  const double flops = call.flops(), bytes = call.traffic();
  const double computing = flops / (roofs.gflops * 1e9), moving = bytes / (roofs.bandwidth(bytes) * 1e9);
  return {call.spec->name,        name,
          call.backward,          seconds,
          1e-9 * flops / seconds, 1e-9 * bytes / seconds,
          computing > moving,     std::max(computing, moving) / seconds};
}

/// Whether a call keeps nothing for a backward pass; then only the forward pass is timed.
bool isInference(const Call& call) {
  const auto& attributes = call.spec->attributes;
  for (size_t i = 0; i < attributes.size(); ++i)
    if (std::string_view(attributes[i].name) == "training") return std::get<int64_t>(call.attributes[i]) == 0;
  return false;
}

/// The tensors of a case that are bf16; nullopt when bf16 was asked for and no tensor can have it.
std::optional<testing::Storage> storageOf(const OpSpec& op, const OpCase& example, DType dtype) {
  if (dtype == DType::f32) return testing::Storage{};
  std::vector<testing::Storage> storages = testing::bf16Storages(op, example);
  if (storages.empty()) return std::nullopt;
  return std::move(storages.back());
}

std::vector<Row> measureOp(const OpSpec& op, const bench::Roofs& roofs, const Options& options, Stream* device) {
  const int samples = options.samples;
  std::vector<Row> rows;
  if (device && !op.cuda.forward) return rows;
  for (const OpCase& example : findReference(op.name).cases) {
    const auto storage = storageOf(op, example, options.dtype);
    if (!example.bench || !storage) continue;
    Call forward = testing::makeCall(op, example, *storage);
    rows.push_back(measure(forward, example.name, roofs, samples, device));
    if (op.cpu.backward && !isInference(forward)) {
      // The backward pass reads the forward pass's results in host memory.
      if (device) Stream::execute(forward);
      const auto inputs = testing::differentiableInputs(forward);
      // Parameters have f32 gradients, whatever they are stored as.
      const testing::BackwardRequest all{inputs, testing::differentiableOutputs(forward), 0.0f, true};
      Call backward = testing::makeBackward(forward, all);
      rows.push_back(measure(backward, example.name, roofs, samples, device));
    }
    testing::caseAllocator()->trim();
  }
  return rows;
}

void printRow(const Row& row, bool json, bool first) {
  if (json)
    std::printf(
        "%s\n  {\"op\": \"%s\", \"case\": \"%s\", \"pass\": \"%s\", \"microseconds\": %.3f, \"gflops\": %.2f, "
        "\"gigabytesPerSecond\": %.2f, \"roof\": \"%s\", \"shareOfRoof\": %.3f}",
        first ? "" : ",", row.op.c_str(), row.name.c_str(), row.backward ? "backward" : "forward", row.seconds * 1e6,
        row.gflops, row.gigabytes, row.compute ? "gemm" : "copy", row.share);
  else
    std::printf("%-16s %-36s %-8s %12.1f us %9.1f GFLOP/s %8.1f GB/s %5.0f %% of %s\n", row.op.c_str(),
                row.name.c_str(), row.backward ? "backward" : "forward", row.seconds * 1e6, row.gflops, row.gigabytes,
                row.share * 100, row.compute ? "gemm" : "copy");
  std::fflush(stdout);
}

void run(const Options& options) {
  setThreadCount(options.threads);
  std::vector<const OpSpec*> ops;
  for (const std::string& name : options.ops) ops.push_back(&findOp(name));
  if (options.ops.empty())
    for (const OpSpec& op : opTable()) ops.push_back(&op);
  std::unique_ptr<Stream> device;
  if (options.device != "cpu") device = testing::openDevice(options.device);
  const bench::Roofs roofs =
      device ? bench::measureDeviceRoofs(*device, options.dtype, options.samples) : bench::measureRoofs();
  if (options.json) {
    std::printf("{\"device\": \"%s\", \"dtype\": \"%s\", \"threads\": %d, \"gemmGflops\": %.1f, \"copies\": [",
                options.device.c_str(), nameOf(options.dtype), options.threads, roofs.gflops);
    for (size_t i = 0; i < roofs.copies.size(); ++i)
      std::printf("%s{\"bytes\": %.0f, \"gigabytesPerSecond\": %.2f}", i ? ", " : "", roofs.copies[i].first,
                  roofs.copies[i].second);
    std::printf("], \"rows\": [");
  } else {
    std::printf("%s, %s, %d threads; gemm %.1f GFLOP/s; copy", options.device.c_str(), nameOf(options.dtype),
                options.threads, roofs.gflops);
    for (const auto& [bytes, rate] : roofs.copies) std::printf(" %.1f GB/s (%.2f MiB)", rate, bytes / (1 << 20));
    std::printf("\n");
  }
  bool first = true;
  for (const OpSpec* op : ops)
    for (const Row& row : measureOp(*op, roofs, options, device.get())) {
      printRow(row, options.json, first);
      first = false;
    }
  if (options.json) std::printf("\n]}\n");
}

int integer(const char* option, const char* text, int least) {
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  if (*end || value < least || value > 4096)
    fail("INVALID_ARGUMENT", option, " is \"", text, "\", but must be an integer from ", least, " to 4096.");
  return static_cast<int>(value);
}

DType floating(const char* option, const char* text) {
  if (std::string_view(text) == "f32") return DType::f32;
  if (std::string_view(text) == "bf16") return DType::bf16;
  fail("INVALID_ARGUMENT", option, " is \"", text, "\", but must be f32 or bf16.");
}

}  // namespace

int main(int argc, char** argv) {
  try {
    Options options;
    for (int i = 1; i < argc; ++i) {
      if (!std::strcmp(argv[i], "--op") && i + 1 < argc)
        options.ops.emplace_back(argv[++i]);
      else if (!std::strcmp(argv[i], "--device") && i + 1 < argc)
        options.device = argv[++i];
      else if (!std::strcmp(argv[i], "--dtype") && i + 1 < argc)
        options.dtype = floating("--dtype", argv[++i]);
      else if (!std::strcmp(argv[i], "--threads") && i + 1 < argc)
        options.threads = integer("--threads", argv[++i], 1);
      else if (!std::strcmp(argv[i], "--samples") && i + 1 < argc)
        options.samples = integer("--samples", argv[++i], 0);
      else if (!std::strcmp(argv[i], "--json"))
        options.json = true;
      else
        fail("INVALID_ARGUMENT",
             "Usage: hint_op_bench [--op NAME]... [--dtype f32|bf16] [--device NAME] [--threads N] [--samples N] "
             "[--json]; ",
             argv[i], " is not an option.");
    }
    run(options);
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "%s: %s\n", error.code().c_str(), error.what());
    return 2;
  }
}
