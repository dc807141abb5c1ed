#include "native/ops/common/result_gradient.h"

#include <algorithm>

#include "native/core/error.h"
#include "native/math/bf16.h"
#include "native/math/float_rows.h"
#include "native/runtime/parallel.h"

namespace hint {
namespace {

/// Values that are computed at a time, so that what is between two passes stays in the nearest cache.
constexpr int64_t kAtOnce = 1024;

/// Values [begin, begin + count) of a tensor: where they are, or widened into `room`.
const float* read(const Tensor& tensor, int64_t begin, int64_t count, float* room) {
  return FloatReader(tensor).read(begin, count, room);
}

}  // namespace

ResultGradient::ResultGradient(const Call& call, const Tensor& gradient, const Tensor& preActivation)
    : gradient_(gradient), preActivation_(preActivation), activation_(activationOf(call)) {
  if (activation_ != Activation::none && !preActivation)
    fail("INVALID_ARGUMENT", call.describe(), ": a call with training 0 keeps nothing for a backward pass.");
}

void ResultGradient::compute(int64_t begin, int64_t count, float* to) const {
  float room[kAtOnce];
  for (int64_t first = 0; first < count; first += kAtOnce) {
    const int64_t some = std::min(kAtOnce, count - first);
    float* result = to + first;
    const float* after = read(gradient_, begin + first, some, result);
    if (activation_ == Activation::none)
      std::copy_n(after, after == result ? 0 : some, result);
    else
      activationGradientRange(activation_, read(preActivation_, begin + first, some, room), after, result, some);
  }
}

const float* ResultGradient::given() {
  if (gradient_.dtype == DType::f32) return gradient_.data<float>();
  if (!given_) {
    given_.emplace(gradient_.size());
    parallelFor(gradient_.size(), kElementGrain,
                [&](int64_t begin, int64_t end) { read(gradient_, begin, end - begin, *given_ + begin); });
  }
  return *given_;
}

const float* ResultGradient::floats() {
  if (activation_ == Activation::none) return given();
  if (!floats_) {
    floats_.emplace(gradient_.size());
    parallelFor(gradient_.size(), kElementGrain,
                [&](int64_t begin, int64_t end) { compute(begin, end - begin, *floats_ + begin); });
  }
  return *floats_;
}

Factor ResultGradient::factor(DType dtype) {
  if (dtype == DType::f32) return Factor(floats());
  if (activation_ == Activation::none && gradient_.dtype == DType::bf16) return Factor(gradient_);
  if (!rounded_) {
    rounded_.emplace((gradient_.size() + 1) / 2);
    auto* halves = reinterpret_cast<uint16_t*>(rounded_->data());
    parallelFor(gradient_.size(), kElementGrain, [&](int64_t begin, int64_t end) {
      float exact[kAtOnce];
      for (int64_t first = begin; first < end; first += kAtOnce) {
        const int64_t some = std::min(kAtOnce, end - first);
        compute(first, some, exact);
        roundToBf16(exact, halves + first, some);
      }
    });
  }
  return Factor(reinterpret_cast<const uint16_t*>(rounded_->data()));
}

}  // namespace hint
