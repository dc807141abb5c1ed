#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "native/core/table.h"
#include "native/math/finite.h"
#include "native/runtime/mapped_file.h"
#include "native/runtime/parallel.h"
#include "native/runtime/signals.h"
#include "native/runtime/stream.h"
#include "native/tests/check.h"

namespace hint {
namespace {

/// An unlinked file, which is deleted when its descriptor is closed.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::vector<float>& values) : file_(std::tmpfile()) {
    CHECK(file_ != nullptr);
    if (values.empty()) return;  // data() may be null, which fwrite must not get
    CHECK_EQUAL(std::fwrite(values.data(), sizeof(float), values.size(), file_), values.size());
    std::fflush(file_);
  }
  ~TemporaryFile() { std::fclose(file_); }
  int descriptor() const { return fileno(file_); }

 private:
  std::FILE* file_;
};

std::vector<float> numbers(int count) {
  std::vector<float> values;
  for (int i = 0; i < count; ++i) values.push_back(static_cast<float>(i));
  return values;
}

TEST("a mapped tensor takes no memory, and outlives descriptor and file handle") {
  const auto allocator = std::make_shared<Allocator>(hostMemory());
  Tensor tensor;
  {
    const TemporaryFile file(numbers(5000));
    tensor = MappedFile::open(file.descriptor())->tensor(allocator, DType::f32, {2, 2000}, 4 * 500);
  }
  CHECK_EQUAL(tensor.data<float>()[0], 500.0f);
  CHECK_EQUAL(tensor.data<float>()[3999], 4499.0f);
  releasePages(tensor);
  CHECK_EQUAL(tensor.data<float>()[2000], 2500.0f);
  CHECK_EQUAL(allocator->stats().inUse, 0u);
  CHECK_EQUAL(allocator->stats().borrowed, 16000u);
  tensor = Tensor{};
  CHECK_EQUAL(allocator->stats().borrowed, 0u);
}

TEST("a file that is cut off fails what is computed from it, in a page that is gone and in one that is left") {
  for (const int64_t kept : {0L, 4096L, 1000L * 4, 100000L * 4 - 4}) {
    const TemporaryFile file(numbers(100000));
    const auto mapped = MappedFile::open(file.descriptor());
    Stream stream(2);
    const Tensor tensor = mapped->tensor(stream.sharedAllocator(), DType::f32, {100000}, 0);
    CHECK(!mapped->failure());
    CHECK_EQUAL(ftruncate(file.descriptor(), kept), 0);
    CHECK_EQUAL(tensor.data<float>()[99999], 0.0f);
    auto call = std::make_unique<Call>(findOp("scale"));
    call->inputs = {tensor};
    call->inputPresent = {true};
    for (const auto& attribute : call->spec->attributes) call->attributes.push_back(attribute.defaultValue);
    call->bind();
    call->outputs[0].buffer = stream.buffer(tensor.bytes());
    const Tensor output = call->outputs[0];
    stream.enqueue(std::move(call));
    std::promise<std::string> code;
    stream.post([&] { code.set_value(output.buffer->failure ? output.buffer->failure->code() : "none"); });
    CHECK_EQUAL(code.get_future().get(), "INVALID_FILE");
    ERROR_OF("INVALID_FILE", tensor.buffer->ensure());
    CHECK_EQUAL(stream.allocator().stats().inUse, 0u);
  }
}

TEST("a mapped tensor that is written becomes memory; the file and other tensors of it stay") {
  const TemporaryFile file(numbers(100));
  const auto mapped = MappedFile::open(file.descriptor());
  const auto allocator = std::make_shared<Allocator>(hostMemory());
  const Tensor tensor = mapped->tensor(allocator, DType::f32, {100}, 0);
  const Tensor other = mapped->tensor(allocator, DType::f32, {100}, 0);
  Tensor view = tensor;
  view.offset = 90;
  static_cast<float*>(tensor.buffer->ensure())[95] = -1.0f;
  CHECK_EQUAL(view.data<float>()[5], -1.0f);
  CHECK_EQUAL(view.data<float>()[6], 96.0f);
  CHECK_EQUAL(other.data<float>()[95], 95.0f);
  CHECK(!tensor.buffer->isBorrowed());
  CHECK_EQUAL(allocator->stats().borrowed, 400u);
  // The tensor now has memory of its own, so releasePages must not lose what was written.
  releasePages(tensor);
  CHECK_EQUAL(tensor.data<float>()[95], -1.0f);
}

TEST("a tensor beyond the end of the file, or where its elements cannot lie, is refused") {
  const TemporaryFile file(numbers(10));
  const auto mapped = MappedFile::open(file.descriptor());
  const auto allocator = std::make_shared<Allocator>(hostMemory());
  CHECK_CONTAINS(ERROR_OF("INVALID_FILE", mapped->tensor(allocator, DType::f32, {10}, 4)).what(), "40 bytes");
  ERROR_OF("INVALID_FILE", mapped->tensor(allocator, DType::f32, {1}, -4));
  ERROR_OF("INVALID_FILE", mapped->tensor(allocator, DType::f32, {1}, 41));
  ERROR_OF("INVALID_SHAPE", mapped->tensor(allocator, DType::f32, {1}, 2));
  CHECK_EQUAL(mapped->tensor(allocator, DType::bf16, {0, 7}, 40).size(), 0);
}

TEST("every thread that computes takes no signal but those of its own faults") {
  Stream stream(3);
  std::promise<std::pair<int, int>> promise;
  stream.post([&] {
    std::atomic<int> threads = 0, good = 0;
    // A small team between two large ones makes OpenMP end threads and start new ones.
    for (const int size : {3, 1, 2, 3}) {
      setThreadCount(size);
      parallelFor(size, 1, [&](int64_t, int64_t) {
        sigset_t blocked;
        ++threads;
        good += pthread_sigmask(SIG_BLOCK, nullptr, &blocked) == 0 && sigismember(&blocked, SIGTERM) == 1 &&
                sigismember(&blocked, SIGBUS) == 0;
      });
    }
    promise.set_value({threads, good});
  });
  const auto [threads, good] = promise.get_future().get();
  CHECK_EQUAL(threads, 9);
  CHECK_EQUAL(good, 9);
}

TEST("an empty file, and what is no file, are not mapped") {
  const TemporaryFile empty({});
  CHECK(MappedFile::open(empty.descriptor()) == nullptr);
  CHECK(MappedFile::open(-1) == nullptr);
}

TEST("the first number that is none is found, wherever it is and whoever looks first") {
  const auto allocator = std::make_shared<Allocator>(hostMemory());
  std::vector<float> values(600000, 1e38f);
  const auto find = [&] {
    const TemporaryFile file(values);
    return firstNonFinite(MappedFile::open(file.descriptor())->tensor(allocator, DType::f32, {600000}, 0));
  };
  CHECK_EQUAL(find(), -1);
  values[599999] = -std::numeric_limits<float>::infinity();
  CHECK_EQUAL(find(), 599999);
  values[250001] = std::numeric_limits<float>::quiet_NaN();
  CHECK_EQUAL(find(), 250001);
  std::vector<float> halves(2);
  const uint16_t words[4] = {0x3f80, 0x7f7f, 0xff80, 0x7fc0};
  std::memcpy(halves.data(), words, sizeof words);
  const TemporaryFile file(halves);
  CHECK_EQUAL(firstNonFinite(MappedFile::open(file.descriptor())->tensor(allocator, DType::bf16, {4}, 0)), 2);
}

}  // namespace
}  // namespace hint
