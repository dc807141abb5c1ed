#pragma once

#include "native/core/call.h"

/// Output projection, log-softmax, cross entropy and z-loss of every row in one op, on tiles of the logits that stay in
/// cache: the logits of the batch never exist, neither forward nor backward.
namespace hint::cross_entropy {

enum Input { kHidden, kWeight, kTargets };
enum Output { kLoss, kZTerm, kLogSumExp };

/// The number of rows whose logits exist at the same time on a GPU: enough to fill it, and at most 1/4 GiB of floats
/// for a large vocabulary.
int64_t gpuChunkRows(const Call& call);

/// Throws INVALID_TOKEN when a target is not a row of `weight`.
void forward(Call& call);
/// Computes the tiles of logits again from hidden and weight, and their softmax from logSumExp.
void backward(Call& call);

}  // namespace hint::cross_entropy
