#pragma once

#include <cstdint>
#include <string>

#include "native/core/call.h"
#include "native/math/activation_kind.h"

namespace hint {

/// Reads the attribute `activation`; throws INVALID_ARGUMENT on another word.
Activation activationOf(const Call& call);

/// y[i] = f(x[i]), on the calling thread; x and y may be the same.
void activateRange(Activation activation, const float* x, float* y, int64_t count);
/// gx[i] = gy[i] * f'(x[i]), on the calling thread; gy and gx may be the same.
void activationGradientRange(Activation activation, const float* x, const float* gy, float* gx, int64_t count);

/// activateRange, split between threads.
void applyActivation(Activation activation, const float* x, float* y, int64_t count);
/// activationGradientRange, split between threads.
void activationGradient(Activation activation, const float* x, const float* gy, float* gx, int64_t count);

/// f(x) in double precision, for references.
double activationReference(Activation activation, double x);

}  // namespace hint
