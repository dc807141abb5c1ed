#pragma once

namespace hint {

/// Functions that may follow a matrix product: "none", "gelu" (tanh approximation), "tanh" and "relu".
enum class Activation { none, gelu, tanh, relu };

}  // namespace hint
