#pragma once

namespace hint {

/// Functions that may follow a matrix product: "none", "gelu" (tanh approximation) and "tanh".
enum class Activation { none, gelu, tanh };

}  // namespace hint
