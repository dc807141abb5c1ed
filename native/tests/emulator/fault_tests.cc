// Tests errors in values that only the device sees: which tensors fail, and how many checks the host has to read.
#include <cstdlib>
#include <string>
#include <vector>

#include "native/tests/check.h"
#include "native/tests/emulator/emulated_device.h"

namespace hint {
namespace {

using namespace testing;

constexpr int64_t kRows = 4;

Tensor idOf(Stream& stream, int32_t id) { return written<int32_t>(stream, DType::i32, id); }

/// The same id, computed by a command, so that the host does not know its value.
Tensor unknown(Stream& stream, const Tensor& id) {
  Tensor copy = tensorOf(stream, DType::i32, {1});
  stream.assign(copy, id);
  return copy;
}

Tensor rowOf(Stream& stream, const Tensor& table, const Tensor& id) {
  return enqueue(stream, "embedding", {id, table});
}

/// Number of checks that the values of a tensor depend on.
size_t checksOf(Stream& stream, const Tensor& tensor) {
  size_t count = 0;
  stream.post([&] { count = tensor.buffer->checks.size(); });
  waitFor(stream);
  return count;
}

TEST("ids that the host wrote and that are inside leave nothing to check, and others still do") {
  const auto stream = openEmulated();
  const Tensor table = filled(*stream, {kRows, 2}, 3.0f);
  const Tensor good = rowOf(*stream, table, idOf(*stream, 3));
  CHECK_EQUAL(checksOf(*stream, good), 0u);
  CHECK_EQUAL(valueOf<float>(*stream, good), 3.0f);
  for (int32_t id : {-1, 4}) {
    const Tensor bad = rowOf(*stream, table, idOf(*stream, id));
    const auto error = ERROR_OF("INVALID_TOKEN", valueOf<float>(*stream, bad));
    CHECK_CONTAINS(error.what(), "id " + std::to_string(id));
  }
}

TEST("what a command wrote over the host's ids is checked") {
  const auto stream = openEmulated();
  const Tensor table = filled(*stream, {kRows, 2}, 3.0f), id = idOf(*stream, 1);
  stream->assign(id, idOf(*stream, 9));
  ERROR_OF("INVALID_TOKEN", valueOf<float>(*stream, rowOf(*stream, table, id)));
}

TEST("ids that the host writes anew are checked when a program runs again") {
  setenv("HINT_CUDA_GRAPHS", "0", 1);
  const auto stream = openEmulated();
  const Tensor table = filled(*stream, {kRows, 1}, 3.0f), id = idOf(*stream, 1);
  stream->beginRecording();
  const Tensor row = rowOf(*stream, table, id);
  const auto program = stream->endRecording();
  stream->replay(program, 2, {});
  CHECK_EQUAL(valueOf<float>(*stream, row), 3.0f);
  const std::vector<uint8_t> bytes{7, 0, 0, 0};
  stream->write(id, 0, bytes);
  stream->replay(program, 2, {});
  unsetenv("HINT_CUDA_GRAPHS");
  ERROR_OF("INVALID_TOKEN", valueOf<float>(*stream, row));
}

TEST("a fault reaches exactly those who depend on it, though commands share a check") {
  const auto stream = openEmulated();
  const Tensor table = filled(*stream, {kRows, 1}, 3.0f);
  const Tensor inside = unknown(*stream, idOf(*stream, 2)), outside = unknown(*stream, idOf(*stream, 5)),
               farther = unknown(*stream, idOf(*stream, 6));
  const Tensor good = rowOf(*stream, table, inside), bad = rowOf(*stream, table, outside),
               worse = rowOf(*stream, table, farther);
  const Tensor both = enqueue(*stream, "add", {good, worse}), alone = enqueue(*stream, "add", {good, good});
  Checks ofAlone, ofBad;
  stream->post([&] {
    ofAlone = alone.buffer->checks;
    ofBad = bad.buffer->checks;
  });
  ERROR_OF("INVALID_TOKEN", waitFor(*stream));
  CHECK_EQUAL(ofAlone.size(), 1u);
  CHECK(ofAlone[0].check == ofBad.at(0).check);
  CHECK_EQUAL(valueOf<float>(*stream, alone), 6.0f);
  CHECK_CONTAINS(ERROR_OF("INVALID_TOKEN", valueOf<float>(*stream, bad)).what(), "id 5");
  CHECK_CONTAINS(ERROR_OF("INVALID_TOKEN", valueOf<float>(*stream, both)).what(), "id 6");
  CHECK_EQUAL(valueOf<float>(*stream, good), 3.0f);
}

TEST("hundreds of checked commands are a few checks of whatever depends on them") {
  const auto stream = openEmulated();
  const Tensor table = filled(*stream, {kRows, 1}, 1.0f), id = unknown(*stream, idOf(*stream, 0));
  Tensor sum = rowOf(*stream, table, id);
  for (int i = 1; i < 640; ++i) sum = enqueue(*stream, "add", {sum, rowOf(*stream, table, id)});
  CHECK(checksOf(*stream, sum) <= 10);
  CHECK_EQUAL(valueOf<float>(*stream, sum), 640.0f);
}

TEST("words that held a fault are used again: bad ids never use them up") {
  const auto stream = openEmulated();
  const Tensor table = filled(*stream, {kRows, 1}, 1.0f);
  const Tensor outside = unknown(*stream, idOf(*stream, 9)), inside = unknown(*stream, idOf(*stream, 0));
  for (int i = 0; i < 1100; ++i) ERROR_OF("INVALID_TOKEN", valueOf<float>(*stream, rowOf(*stream, table, outside)));
  for (int i = 0; i < 100; ++i) CHECK_EQUAL(valueOf<float>(*stream, rowOf(*stream, table, inside)), 1.0f);
}

TEST("a program that reads more lists of integers than are kept finds all of them when it is captured") {
  const auto stream = openEmulated();
  constexpr int32_t kLists = 2500;
  const Tensor x = filled(*stream, {kLists, 1}, 2.0f);
  stream->beginRecording();
  Tensor last;
  for (int32_t i = 1; i < kLists; ++i)
    last = enqueue(*stream, "segment_mean", {x}, {{"offsets", IntList{0, i, kLists}}});
  const auto program = stream->endRecording();
  stream->replay(program, 2, {});
  CHECK_EQUAL(valueOf<float>(*stream, last), 2.0f);
  // They are released afterwards.
  for (int32_t i = 1; i < 10; ++i)
    last = enqueue(*stream, "segment_mean", {x}, {{"offsets", IntList{0, i, i + 1, kLists}}});
  CHECK_EQUAL(valueOf<float>(*stream, last), 2.0f);
}

}  // namespace
}  // namespace hint
