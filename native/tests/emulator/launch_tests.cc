// Tests the shared memory and grid sizes of launches.
#include <cmath>
#include <cstdint>
#include <vector>

#include "native/tests/check.h"
#include "native/tests/emulator/emulated_device.h"

namespace hint {
namespace {

using namespace testing;

constexpr int kInvalidValue = 1;
constexpr int64_t kWidth = 8;

/// One token of decoding over a cache of `capacity` keys, each of which takes a float of a block's shared memory.
Tensor decodeToken(Stream& stream, int64_t capacity) {
  const Tensor token = filled(stream, {1, kWidth}, 1.0f);
  const Tensor keys = tensorOf(stream, DType::f32, {1, capacity, kWidth});
  const Tensor values = tensorOf(stream, DType::f32, {1, capacity, kWidth});
  return enqueue(stream, "decode_attention",
                 {token, token, token, keys, values, written<int32_t>(stream, DType::i32, 0)},
                 {{"numHeads", int64_t{1}}});
}

TEST("a short launch takes no shared memory away from a long one of another stream") {
  const auto first = openEmulated(), second = openEmulated();
  CHECK_EQUAL(valueOf<float>(*first, decodeToken(*first, 14000)), 1.0f);
  // The limit is set once per kernel: another stream must not be able to change it between two launches.
  const Refusal refusal("cudaFuncSetAttribute", kInvalidValue);
  CHECK_EQUAL(valueOf<float>(*second, decodeToken(*second, 10)), 1.0f);
  CHECK_EQUAL(valueOf<float>(*first, decodeToken(*first, 14000)), 1.0f);
  CHECK_EQUAL(valueOf<float>(*second, decodeToken(*second, 20000)), 1.0f);
}

TEST("more keys than shared memory holds are refused with what to do, the kernel's own variables counted") {
  const auto stream = openEmulated();
  // The emulated device has 99 KiB of shared memory per block, of which a kernel's variables take one.
  const int64_t beyond = (98 << 10) / 4;
  const auto error = ERROR_OF("NOT_SUPPORTED", valueOf<float>(*stream, decodeToken(*stream, beyond)));
  CHECK_CONTAINS(error.what(), "decode fewer tokens");
  CHECK_EQUAL(valueOf<float>(*stream, decodeToken(*stream, beyond - kWidth - 128)), 1.0f);
}

TEST("a loss over more rows than a grid is high has all its gradients") {
  const auto stream = openEmulated();
  constexpr int64_t kRows = 65536 + 7;
  const Tensor hidden = filled(*stream, {kRows, 1}, 1.0f), weight = filled(*stream, {2, 1}, 1.0f);
  const Tensor targets = written<int32_t>(*stream, DType::i32, {kRows}, std::vector<int32_t>(kRows, 1));
  auto backward = callOf(*stream, "cross_entropy", {hidden, weight, targets});
  // The forward pass would take the emulator a minute, and the values that it saves are known.
  backward->outputs = {{}, {}, filled(*stream, {kRows}, 1.0f + std::log(2.0f))};
  backward->backward = true;
  backward->gradOutputs = {filled(*stream, {kRows}, 1.0f), {}, {}};
  const Tensor gradient = tensorOf(*stream, DType::f32, {2, 1}), ofHidden = tensorOf(*stream, DType::f32, {kRows, 1});
  backward->gradInputs = {ofHidden, gradient, {}};
  backward->betas = {0.0f, 0.0f, 0.0f};
  stream->enqueue(std::move(backward));
  // Hidden states of ones give each of the two tokens the probability 1/2, from which the gradients follow.
  const float ofWeight = valueOf<float>(*stream, gradient), all = 0.5f * static_cast<float>(kRows);
  CHECK(std::abs(ofWeight - all) < 1e-3f * all);
  CHECK(std::abs(valueOf<float>(*stream, ofHidden)) < 1e-5f);
}

TEST("more groups than a grid is deep are all multiplied") {
  const auto stream = openEmulated();
  constexpr int64_t kGroups = 65535 + 5;
  std::vector<float> weights(kGroups);
  IntList offsets(kGroups + 1);
  for (size_t i = 0; i < offsets.size(); ++i) offsets[i] = static_cast<int32_t>(i);
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<float>(i % 1000);
  const Tensor x = filled(*stream, {kGroups, 1}, 2.0f);
  const Tensor weight = written<float>(*stream, DType::f32, {kGroups, 1, 1, 1}, weights);
  const Tensor bias = written<float>(*stream, DType::f32, {kGroups, 1, 1}, weights);
  Tensor y = enqueue(*stream, "grouped_linear", {x, weight, bias}, {{"rowOffsets", offsets}});
  CHECK_EQUAL(valueOf<float>(*stream, y), 0.0f);
  y.shape = {1, 1};
  for (const int64_t group : {65534, 65535, 65539}) {
    y.offset = group;
    CHECK_EQUAL(valueOf<float>(*stream, y), 3.0f * static_cast<float>(group % 1000));
  }
}

}  // namespace
}  // namespace hint
