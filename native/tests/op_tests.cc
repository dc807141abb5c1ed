// Checks every case of every op against its double-precision reference.
//   hint_op_tests [--op NAME]... [--device cpu|cuda|cuda:N] [--dtype f32|bf16] [--offset N] [--replay] [--first]
//   [--list]
//                 [--json]
//     --offset N   tensors begin N elements after an aligned address
//     --replay     calls are recorded, run once and replayed once
//     --first      the first case of each op only, with and without bf16

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "native/core/error.h"
#include "native/core/table.h"
#include "native/tests/case_check.h"
#include "native/tests/device_call.h"

namespace {

using namespace hint;

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    if (c == '\n')
      result += "\\n";
    else
      result += c;
  }
  return result + "\"";
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2e", value);
  return value == value && value < 1e300 ? text : "null";
}

/// Factor of the f32 bounds on a GPU, because its sums have another order and its exponentials are less exact.
constexpr double kDeviceSlack = 10;

/// On a GPU, results of matrix products and slopes may be rounded to bf16 before the next step of the same op.
constexpr double kDeviceRoundings = 3;

/// Runs calls and compares the launches that their ops declare with those that the emulated device counts. Only the
/// second run of a call counts, because the first may zero memory that later calls use, too.
class DeclaredLaunches {
 public:
  void run(Stream& stream, Call& call) {
    const int64_t taken = testing::runOn(stream, call);
    const std::string key = keyOf(call);
    const bool isAgain = std::exchange(last_, key) == key;
    // Launches of decode_attention, and some of attention's forward pass, depend on the device and are not compared.
    if (taken < 0 || !isAgain || !call.spec->gpuWork) return;
    const double declared = call.gpuWork().launches, more = static_cast<double>(taken) - declared;
    const bool mayHaveOneMore = std::string(call.spec->name) == "attention" && !call.backward;
    if (more != 0 && !(mayHaveOneMore && more == 1))
      fail("INTERNAL", call.describe(), call.backward ? " backward" : " forward", " took ", taken,
           " launches; its gpuWork declares ", declared, ".");
  }

 private:
  static std::string keyOf(const Call& call) {
    std::string key = call.describe() + (call.backward ? "'" : "");
    for (const auto* group : {&call.inputs, &call.outputs, &call.gradOutputs, &call.gradInputs})
      for (const Tensor& tensor : *group) key += tensor ? nameOf(tensor.dtype) : "-";
    for (float beta : call.betas) key += std::to_string(beta);
    return key;
  }
  std::string last_;
};

std::string describe(const testing::Storage& storage) {
  std::string text;
  for (const std::string& name : storage) text += (text.empty() ? "bf16 " : " and ") + name;
  return text.empty() ? "f32" : text;
}

struct Options {
  std::vector<std::string> wanted;
  std::string device = "cpu", dtype;
  bool list = false, json = false, replay = false, first = false;
  int64_t offset = 0;
};

int run(const Options& options) {
  const auto& [wanted, device, dtype, list, json, replay, first, offset] = options;
  DeclaredLaunches launches;
  std::unique_ptr<Stream> stream;
  if (device != "cpu") stream = testing::openDevice(device);
  const auto check = [&](const OpSpec& op, const OpReference& reference, const OpCase& example, int threads,
                         const testing::Storage& storage) {
    if (!stream) return testing::checkCase(op, reference, example, threads, storage);
    const auto execute = [&](Call& call) {
      if (options.replay)
        testing::replayOn(*stream, call);
      else if (options.offset > 0)
        testing::runOn(*stream, call);  // unaligned tensors use other kernels
      else
        launches.run(*stream, call);
    };
    const testing::Target target{execute, kDeviceSlack, kDeviceRoundings};
    return testing::checkCase(op, reference, example, target, storage);
  };
  std::vector<const OpSpec*> ops;
  for (const std::string& name : wanted) ops.push_back(&findOp(name));
  if (wanted.empty())
    for (const OpSpec& op : opTable()) ops.push_back(&op);

  int failed = 0, total = 0;
  std::string rows;
  for (const OpSpec* op : ops) {
    if (stream && !op->cuda.forward) {
      if (!json && !list) std::printf("%s: skipped, it has no kernels for %s\n", op->name, device.c_str());
      continue;
    }
    const OpReference& reference = findReference(op->name);
    bool isFirst = true;
    for (const OpCase& example : reference.cases) {
      if (example.bench || (first && !example.error.empty())) continue;
      if (first && !std::exchange(isFirst, false)) break;
      if (list) {
        std::printf("%s: %s\n", op->name, example.name.c_str());
        continue;
      }
      std::vector<std::pair<int, testing::Storage>> runs;
      for (int threads : {1, 2})
        if (dtype != "bf16" && !(stream && threads > 1)) runs.emplace_back(threads, testing::Storage());
      if (dtype != "f32")
        for (testing::Storage& storage : testing::bf16Storages(*op, example)) runs.emplace_back(2, std::move(storage));
      if (first && runs.size() > 2) runs.erase(runs.begin() + 1, runs.end() - 1);
      for (const auto& [threads, storage] : runs) {
        // Printed before the run, so that a crash names its case.
        if (!json)
          std::printf("%s: %s, %s, %d thread%s", op->name, example.name.c_str(), describe(storage).c_str(), threads,
                      threads > 1 ? "s" : "");
        std::fflush(stdout);
        const testing::CaseResult result = check(*op, reference, example, threads, storage);
        ++total;
        if (!result.failures.empty()) ++failed;
        if (json) {
          rows += std::string(rows.empty() ? "" : ",\n ") + "{\"op\": " + quoted(op->name) +
                  ", \"case\": " + quoted(example.name) + ", \"dtypes\": " + quoted(describe(storage)) +
                  ", \"threads\": " + std::to_string(threads) + ", \"forwardError\": " + number(result.forwardError) +
                  ", \"gradientError\": " + number(result.gradientError) + ", \"failures\": [";
          for (size_t i = 0; i < result.failures.size(); ++i) rows += (i ? ", " : "") + quoted(result.failures[i]);
          rows += "]}";
        } else {
          std::printf(": %s (forward %.1e, gradient %.1e)\n", result.failures.empty() ? "ok" : "FAILED",
                      result.forwardError, result.gradientError);
          for (const std::string& failure : result.failures) std::printf("    %s\n", failure.c_str());
        }
      }
    }
  }
  if (json) std::printf("[%s]\n", rows.c_str());
  if (!json && !list) std::printf("%d of %d op cases failed\n", failed, total);
  return failed ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    if (!std::strcmp(argv[i], "--op") && i + 1 < argc)
      options.wanted.emplace_back(argv[++i]);
    else if (!std::strcmp(argv[i], "--device") && i + 1 < argc)
      options.device = argv[++i];
    else if (!std::strcmp(argv[i], "--dtype") && i + 1 < argc)
      options.dtype = argv[++i];
    else if (!std::strcmp(argv[i], "--offset") && i + 1 < argc)
      testing::setCaseOffset(options.offset = std::atoll(argv[++i]));
    else if (!std::strcmp(argv[i], "--replay"))
      options.replay = true;
    else if (!std::strcmp(argv[i], "--first"))
      options.first = true;
    else if (!std::strcmp(argv[i], "--list"))
      options.list = true;
    else if (!std::strcmp(argv[i], "--json"))
      options.json = true;
    else {
      std::fprintf(stderr,
                   "Usage: hint_op_tests [--op NAME]... [--device NAME] [--dtype f32|bf16] [--offset N] [--replay] "
                   "[--first] [--list] [--json]; %s is not an option.\n",
                   argv[i]);
      return 2;
    }
  }
  try {
    return run(options);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s: %s\n", error.code().c_str(), error.what());
    return 2;
  }
}
