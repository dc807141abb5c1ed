// Tests matrix products through cuBLASLt, and its refusals, in the emulator with fake_cublas.cc.
#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "native/core/table.h"
#include "native/runtime/cuda_library.h"
#include "native/runtime/stream.h"
#include "native/tests/case.h"
#include "native/tests/case_check.h"
#include "native/tests/check.h"
#include "native/tests/device_call.h"
#include "native/tests/emulator/fake_cublas.h"

namespace hint {
namespace {

// The library is looked for once in a process, when the first device is opened.
const int chosen = setenv("HINT_CUBLASLT", HINT_FAKE_CUBLAS, 1);

std::unique_ptr<Stream> openEmulated() { return std::make_unique<Stream>(cudaBackend(HINT_CUDA_FOLDER, 0)); }

/// Resets the counts of the fake library, and ends its refusals when it goes out of scope.
class Fake {
 public:
  Fake() { *state() = {}; }
  ~Fake() { *state() = {}; }
  FakeCublas* operator->() const { return state(); }

 private:
  static FakeCublas* state() {
    void* library = dlopen(HINT_FAKE_CUBLAS, RTLD_NOW);
    const auto found =
        library ? reinterpret_cast<decltype(&hint_fake_cublas)>(dlsym(library, "hint_fake_cublas")) : nullptr;
    if (!found) fail("INTERNAL", HINT_FAKE_CUBLAS, " is not the emulator's cuBLASLt.");
    return found();
  }
};

/// Checks cases of the ops, at most `most` of each, forward and backward, in f32 and in bf16.
void checkProducts(const std::vector<const char*>& ops, size_t most = SIZE_MAX) {
  const auto stream = openEmulated();
  const testing::Target target{[&](Call& call) { testing::runOn(*stream, call); }, 10, 3};
  for (const char* name : ops) {
    const OpSpec& op = findOp(name);
    const OpReference& reference = findReference(name);
    size_t left = most;
    for (const OpCase& example : reference.cases) {
      if (example.bench || !example.error.empty()) continue;
      if (left-- == 0) break;
      std::vector<testing::Storage> storages = testing::bf16Storages(op, example);
      storages.emplace_back();
      for (const testing::Storage& storage : storages) {
        const auto result = testing::checkCase(op, reference, example, target, storage);
        for (const std::string& failure : result.failures)
          throw std::runtime_error(std::string(name) + ", " + example.name + ": " + failure);
      }
    }
  }
}

/// What `body` writes to stderr.
template <typename Body>
std::string errorOutputOf(const Body& body) {
  std::FILE* file = std::tmpfile();
  std::fflush(stderr);
  const int before = dup(STDERR_FILENO);
  dup2(fileno(file), STDERR_FILENO);
  try {
    body();
  } catch (...) {
    dup2(before, STDERR_FILENO);
    close(before);
    std::fclose(file);
    throw;
  }
  dup2(before, STDERR_FILENO);
  close(before);
  std::rewind(file);
  std::string text(1 << 16, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file));
  std::fclose(file);
  return text;
}

Tensor zeros(Stream& stream, Shape shape) {
  Tensor tensor{nullptr, 0, DType::f32, std::move(shape)};
  tensor.buffer = stream.buffer(tensor.bytes());
  stream.write(tensor, 0, std::vector<uint8_t>(tensor.bytes()));
  return tensor;
}

void enqueueLinear(Stream& stream, const Tensor& x, const Tensor& weight) {
  auto call = std::make_unique<Call>(findOp("linear"));
  call->inputs = {x, weight, Tensor{}};
  call->inputPresent = {true, true, false};
  for (const AttributeSpec& attribute : call->spec->attributes) call->attributes.push_back(attribute.defaultValue);
  call->bind();
  for (Tensor& output : call->outputs) output.buffer = stream.buffer(output.bytes());
  stream.enqueue(std::move(call));
}

TEST("products through cuBLASLt have the shapes, strides and transpositions that it reads") {
  const Fake fake;
  checkProducts({"linear", "cross_entropy"});
  CHECK(fake->products > 100);
  CHECK_EQUAL(fake->layouts, 0);
}

// Without cuBLASLt our own kernels multiply, whose every case the emulator's other tests run: a few show that they are
// called.
constexpr size_t kFew = 6;

TEST("products for which cuBLASLt has no algorithm are computed all the same, and that is said once") {
  const Fake fake;
  fake->hasNoAlgorithm = true;
  const std::string said = errorOutputOf([] { checkProducts({"linear"}, kFew); });
  CHECK_EQUAL(fake->products, 0);
  CHECK(fake->choices > 6);
  CHECK_CONTAINS(said,
                 "cuBLASLt 13.0.0 failed to choose an algorithm for a product of [5, 17] and [17, 13] (status 15)");
  CHECK_EQUAL(said.find("hint:"), said.rfind("hint:"));
}

TEST("products that cuBLASLt refuses when they are to run are computed all the same, and not tried again") {
  const Fake fake;
  fake->refusesToMultiply = true;
  checkProducts({"linear"}, kFew);
  CHECK_EQUAL(fake->products, 0);
  const auto stream = openEmulated();
  const Tensor x = zeros(*stream, {3, 8}), weight = zeros(*stream, {5, 8});
  enqueueLinear(*stream, x, weight);
  testing::waitFor(*stream);
  fake->refusesToMultiply = false;
  const int choices = fake->choices;
  // The output gets the address of the first one, which was freed, so this is the same product.
  enqueueLinear(*stream, x, weight);
  testing::waitFor(*stream);
  CHECK_EQUAL(fake->choices, choices);
  CHECK_EQUAL(fake->products, 0);
}

TEST("a cuBLASLt that does not start leaves the device usable") {
  const Fake fake;
  fake->refusesToStart = true;
  checkProducts({"linear"}, kFew);
  CHECK_EQUAL(fake->choices, 0);
}

TEST("products recorded in a graph share one workspace with all others of the stream") {
  const Fake fake;
  constexpr int kProducts = 8;
  const auto stream = openEmulated();
  const Tensor x = zeros(*stream, {4, 16}), weight = zeros(*stream, {16, 16});
  stream->beginRecording();
  for (int i = 0; i < kProducts; ++i) enqueueLinear(*stream, x, weight);
  const auto program = stream->endRecording();
  stream->replay(program, 3, Tensor{});
  enqueueLinear(*stream, x, weight);
  testing::waitFor(*stream);
  CHECK_EQUAL(fake->products, 3 * kProducts + 1);
  CHECK_EQUAL(fake->workspaces.size(), size_t{1});
  CHECK(stream->allocator().stats().peakInUse < size_t{48} << 20);
}

TEST("products of ever new sizes, as ragged batches bring them, do not pile up") {
  const Fake fake;
  const auto stream = openEmulated();
  const Tensor weight = zeros(*stream, {1, 1});
  for (int64_t rows = 1; rows <= 5000; ++rows) enqueueLinear(*stream, zeros(*stream, {rows, 1}), weight);
  testing::waitFor(*stream);
  CHECK_EQUAL(fake->products, 5000);
  CHECK(fake->layouts <= 3 * 4096);
}

}  // namespace
}  // namespace hint
