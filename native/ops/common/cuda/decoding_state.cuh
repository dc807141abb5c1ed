#pragma once

#include <string>

#include "native/ops/common/cuda/choose.cuh"

/// The state of a decoding loop, which greedy and sample advance in the same way.
namespace hint::cuda {

struct DecodingState {
  int32_t *token, *finished, *tokens, *position, *stop;
  int64_t rows, capacity;
  int32_t eos;

  /// Reads the state from a call whose inputs have the given indices.
  DecodingState(const Call& call, int tokenInput, int finishedInput, int tokensInput, int positionInput, int stopInput)
      : token(dataOf<int32_t>(call.in(tokenInput))),
        finished(dataOf<int32_t>(call.in(finishedInput))),
        tokens(dataOf<int32_t>(call.in(tokensInput))),
        position(dataOf<int32_t>(call.in(positionInput))),
        stop(dataOf<int32_t>(call.in(stopInput))),
        rows(call.dim("rows")),
        capacity(call.dim("capacity")),
        eos(static_cast<int32_t>(call.integer("eosId"))) {}
};

namespace detail {

/// The position of a fault that concerns the decoding position and not a row.
constexpr uint32_t kPositionFault = 0xFFFFFFFEu;

/// One block: stores the tokens, and their log-probabilities where there are any, and advances the state; on a fault
/// nothing but the stop flag changes.
static __global__ void __launch_bounds__(kChooseThreads)
    advanceState(DecodingState state, const int32_t* chosen, const float* chosenLogProbs, float* logProbs,
                 FaultWord* fault) {
  const int32_t at = *state.position;
  const bool outside = at < 0 || at >= state.capacity;
  if (outside && threadIdx.x == 0) reportFault(fault, kPositionFault, at);
  bool none = false;
  for (int64_t row = threadIdx.x; row < state.rows; row += kChooseThreads)
    if (chosen[row] == kNoToken) {
      none = true;
      if (!outside) reportFault(fault, static_cast<uint32_t>(row), 0);
    }
  if (__syncthreads_or(none) || outside) {
    if (threadIdx.x == 0) *state.stop = 1;
    return;
  }
  bool unfinished = false;
  for (int64_t row = threadIdx.x; row < state.rows; row += kChooseThreads) {
    state.token[row] = chosen[row];
    state.tokens[row * state.capacity + at] = chosen[row];
    if (logProbs) logProbs[row * state.capacity + at] = chosenLogProbs[row];
    if (!state.finished[row]) state.finished[row] = chosen[row] == state.eos;
    unfinished |= !state.finished[row];
  }
  const bool all = !__syncthreads_or(unfinished);
  if (threadIdx.x > 0) return;
  *state.position = at + 1;
  *state.stop = all || at + 1 == state.capacity;
}

}  // namespace detail

/// Queues the advance of the state by the tokens chosen; kNoToken is reported with `complaint` about the row's logits.
inline void advance(const Call& call, const DecodingState& state, const int32_t* chosen, const float* chosenLogProbs,
                    float* logProbs, const char* complaint) {
  Context& context = Context::current();
  FaultWord* fault =
      context.faultWord([text = call.describe(), capacity = state.capacity, complaint](int64_t row, int32_t position) {
        if (row == detail::kPositionFault)
          return Error("INVALID_SHAPE", text + ": position " + std::to_string(position) + " is outside the " +
                                            std::to_string(capacity) +
                                            " columns of tokens; allocate more or stop earlier.");
        return Error("NUMERIC", text + ": the logits of row " + std::to_string(row) + " " + complaint +
                                    "; check the weights and the input.");
      });
  detail::advanceState<<<1, kChooseThreads, 0, context.stream()>>>(state, chosen, chosenLogProbs, logProbs, fault);
  launched();
}

}  // namespace hint::cuda
