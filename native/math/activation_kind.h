#pragma once

namespace hint {

/// Functions that may follow a matrix product: "none", "gelu" (tanh approximation), "gelu_erf" (exact), "silu", "tanh"
/// and "relu".
enum class Activation { none, gelu, tanh, relu, geluErf, silu };

}  // namespace hint
