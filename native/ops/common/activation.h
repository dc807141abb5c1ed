#pragma once

#include <cstdint>
#include <string>

#include "native/core/call.h"
#include "native/math/activation_kind.h"

namespace hint {

/// Reads the attribute `activation`; throws INVALID_ARGUMENT on another word.
Activation activationOf(const Call& call);

/// y[i] = f(x[i]); x and y may be the same.
void applyActivation(Activation activation, const float* x, float* y, int64_t count);
/// gx[i] = gy[i] * f'(x[i]).
void activationGradient(Activation activation, const float* x, const float* gy, float* gx, int64_t count);

/// The double-precision twin, for references.
double activationReference(Activation activation, double x);

}  // namespace hint
