#include "native/ops/common/logits_row.h"

#include <algorithm>

#include "native/math/vector_math.h"
#include "native/runtime/parallel.h"

namespace hint {
namespace {

constexpr int kLanes = 64;
/// A vectorised pass rules out whole blocks; only a block with a match is searched element by element.
constexpr int64_t kBlock = 1024;

/// The largest value by lanes, and whether any is NaN: (x != x) is kept as a mask of ones.
HINT_CLONES float largest(const float* x, int64_t count, int32_t* nan) {
  float lanes[kLanes];
  int32_t unordered[kLanes] = {};
  for (int lane = 0; lane < kLanes; ++lane) lanes[lane] = x[0];
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (int lane = 0; lane < kLanes; ++lane) {
      const float value = x[i + lane];
      lanes[lane] = value > lanes[lane] ? value : lanes[lane];
      unordered[lane] |= value != value;
    }
  for (; i < count; ++i) {
    lanes[0] = x[i] > lanes[0] ? x[i] : lanes[0];
    unordered[0] |= x[i] != x[i];
  }
  float result = lanes[0];
  for (int lane = 0; lane < kLanes; ++lane) {
    result = lanes[lane] > result ? lanes[lane] : result;
    *nan |= unordered[lane];
  }
  return result;
}

HINT_CLONES int32_t countEqual(const float* x, float value, int64_t count) {
  int32_t equal = 0;
  for (int64_t i = 0; i < count; ++i) equal += x[i] == value;
  return equal;
}

HINT_CLONES int32_t countAbove(const float* x, float value, int64_t count) {
  int32_t above = 0;
  for (int64_t i = 0; i < count; ++i) above += x[i] > value;
  return above;
}

HINT_CLONES float exponentials(const float* x, int64_t count, float maximum, float factor) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < count; ++i) sum += fastExp(factor * (x[i] - maximum));
  return sum;
}

}  // namespace

float largestLogit(const float* logits, int64_t count, bool* nan) {
  int32_t unordered = 0;
  const float value = largest(logits, count, &unordered);
  *nan = unordered != 0;
  return value;
}

int64_t firstEqual(const float* logits, float value, int64_t count) {
  int64_t i = 0;
  while (i + kBlock < count && countEqual(logits + i, value, kBlock) == 0) i += kBlock;
  while (logits[i] != value) ++i;
  return i;
}

double sumOfExponentials(const float* logits, int64_t count, float maximum, float factor) {
  // Sums of blocks are added in double: a float sum over a vocabulary would lose the last digits of log-probabilities.
  double sum = 0;
  for (int64_t i = 0; i < count; i += kBlock)
    sum += exponentials(logits + i, std::min(kBlock, count - i), maximum, factor);
  return sum;
}

std::vector<int32_t> largestLogits(const float* logits, int64_t count, int64_t k) {
  const auto before = [logits](int32_t a, int32_t b) { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; };
  // A heap whose top is the weakest of the best so far; ids come in ascending order, so that an equal logit never
  // enters.
  std::vector<int32_t> heap;
  heap.reserve(static_cast<size_t>(k));
  for (int64_t i = 0; i < k; ++i) heap.push_back(static_cast<int32_t>(i));
  std::make_heap(heap.begin(), heap.end(), before);
  for (int64_t block = k; block < count; block += kBlock) {
    const int64_t end = std::min(block + kBlock, count);
    if (countAbove(logits + block, logits[heap.front()], end - block) == 0) continue;
    for (int64_t i = block; i < end; ++i) {
      if (!(logits[i] > logits[heap.front()])) continue;
      std::pop_heap(heap.begin(), heap.end(), before);
      heap.back() = static_cast<int32_t>(i);
      std::push_heap(heap.begin(), heap.end(), before);
    }
  }
  std::sort_heap(heap.begin(), heap.end(), before);
  return heap;
}

}  // namespace hint
