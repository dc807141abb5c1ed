#pragma once

#include <cstring>

#include "native/runtime/cuda/device.cuh"

/// Choices among the logits of a row, with one block of kChooseThreads per row: the largest logit, and the most
/// probable tokens up to a number or a probability. Every function must be called by all threads of the block.
namespace hint::cuda {

constexpr int kChooseThreads = 512;
/// The token of a row whose logits have NaN or give no probabilities.
constexpr int32_t kNoToken = -1;

/// A token and its logit; larger logits come first, among equal ones the smaller id.
struct Candidate {
  float value = -INFINITY;
  int32_t id = INT32_MAX;

  __device__ bool before(const Candidate& other) const {
    return value > other.value || (value == other.value && id < other.id);
  }
};

/// The first in that order among the candidates of all threads. All threads get it.
__device__ inline Candidate firstOfBlock(Candidate mine) {
  __shared__ float values[kChooseThreads];
  __shared__ int32_t ids[kChooseThreads];
  __syncthreads();
  values[threadIdx.x] = mine.value;
  ids[threadIdx.x] = mine.id;
  __syncthreads();
  for (int half = kChooseThreads / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) {
      const Candidate other{values[threadIdx.x + half], ids[threadIdx.x + half]};
      if (other.before({values[threadIdx.x], ids[threadIdx.x]})) {
        values[threadIdx.x] = other.value;
        ids[threadIdx.x] = other.id;
      }
    }
    __syncthreads();
  }
  return {values[0], ids[0]};
}

/// The first token of a row that comes after `last`; sets `nan` in all threads when one of the logits is NaN.
template <typename T>
__device__ Candidate firstAfter(const T* logits, int64_t vocab, const Candidate& last, bool& nan) {
  Candidate best;
  bool seen = false;
  for (int64_t i = threadIdx.x; i < vocab; i += kChooseThreads) {
    const Candidate candidate{load(logits + i), static_cast<int32_t>(i)};
    seen |= candidate.value != candidate.value;
    if (last.before(candidate) && candidate.before(best)) best = candidate;
  }
  nan = __syncthreads_or(seen);
  return firstOfBlock(best);
}

/// A candidate that comes before every token.
__device__ inline Candidate beforeAll() { return {INFINITY, -1}; }

/// Sum over a row of exp(scale * (logit - maximum)).
template <typename T>
__device__ double sumOfWeights(const T* logits, int64_t vocab, float maximum, double scale) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < vocab; i += kChooseThreads)
    sum += exp(scale * (static_cast<double>(load(logits + i)) - maximum));
  return blockSum(sum);
}

/// Unsigned integers in the order of the floats; both zeros have the same one.
__device__ inline uint32_t keyOf(float value) {
  value += 0.0f;
  uint32_t bits;
  memcpy(&bits, &value, 4);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
__device__ inline float valueOf(uint32_t key) {
  const uint32_t bits = key & 0x80000000u ? key & 0x7FFFFFFFu : ~key;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

/// The most probable tokens of a row: all whose key is above `key`, and the first `ties` of those that have it.
struct TopSet {
  uint32_t key = 0;
  int64_t ties = 0;
  double mass = 0;  ///< their weights
};

struct CountAndMass {
  int64_t count;
  double mass;
};

/// A row with its weights, and searches in the order of its logits. A search tries the 32 bits of a key one after the
/// other, each with a pass over the row, so that nothing is sorted whatever the logits are, and sums always run in the
/// same order.
template <typename T>
struct WeightedRow {
  const T* logits;
  int64_t vocab;
  float maximum;
  double scale;  ///< 1 / temperature

  __device__ double weight(float value) const { return exp(scale * (static_cast<double>(value) - maximum)); }

  /// Tokens whose key is at least `key`.
  __device__ CountAndMass from(uint32_t key) const {
    int64_t count = 0;
    double mass = 0;
    for (int64_t i = threadIdx.x; i < vocab; i += kChooseThreads) {
      const float value = load(logits + i);
      if (keyOf(value) < key) continue;
      ++count;
      mass += weight(value);
    }
    return {blockSum(count), blockSum(mass)};
  }
  /// Tokens whose key is above `key`.
  __device__ CountAndMass above(uint32_t key) const { return key == UINT32_MAX ? CountAndMass{0, 0.0} : from(key + 1); }

  /// The k most probable tokens, 1 <= k <= vocab.
  __device__ TopSet most(int64_t k) const {
    const uint32_t key = highest([&](uint32_t tried) { return from(tried).count >= k; });
    const CountAndMass better = above(key);
    const int64_t ties = k - better.count;
    return {key, ties, better.mass + static_cast<double>(ties) * weight(valueOf(key))};
  }
  /// The fewest of a set, most probable first, whose weights satisfy reached(mass), which never ceases to hold as mass
  /// grows; all of the set when they do not.
  template <typename Reached>
  __device__ TopSet fewest(const TopSet& set, const Reached& reached) const {
    const auto massFrom = [&](uint32_t key) { return key <= set.key ? set.mass : from(key).mass; };
    uint32_t key = highest([&](uint32_t tried) { return reached(massFrom(tried)); });
    if (key <= set.key) key = set.key;
    const double one = weight(valueOf(key)), better = above(key).mass;
    const int64_t most = key == set.key ? set.ties : from(key).count - above(key).count;
    int64_t ties = 1, none = 0;
    // Doubling, then halving the range, because all tokens of the vocabulary may be ties.
    while (ties < most && !reached(better + static_cast<double>(ties) * one)) {
      none = ties;
      ties = min(most, 2 * ties);
    }
    while (ties - none > 1) {
      const int64_t middle = none + (ties - none) / 2;
      if (reached(better + static_cast<double>(middle) * one))
        ties = middle;
      else
        none = middle;
    }
    return {key, ties, better + static_cast<double>(ties) * one};
  }
  /// The last token of a set: the tie of that number, counted by ids.
  __device__ int32_t last(const TopSet& set) const {
    return walk([&](int64_t id) { return keyOf(load(logits + id)) == set.key ? 1.0 : 0.0; },
                static_cast<double>(set.ties) - 0.5);
  }
  /// The first token, by ids, at which the cumulative amount exceeds `target`; when none does, the last token with an
  /// amount.
  template <typename Amount>
  __device__ int32_t walk(const Amount& amount, double target) const {
    __shared__ double sums[kChooseThreads];
    __shared__ int32_t found;
    const int64_t chunk = (vocab + kChooseThreads - 1) / kChooseThreads;
    const int64_t begin = min(vocab, threadIdx.x * chunk), end = min(vocab, begin + chunk);
    double sum = 0;
    for (int64_t id = begin; id < end; ++id) sum += amount(id);
    __syncthreads();
    sums[threadIdx.x] = sum;
    if (threadIdx.x == 0) found = 0;
    __syncthreads();
    double passed = 0;
    for (int thread = 0; thread < static_cast<int>(threadIdx.x); ++thread) passed += sums[thread];
    bool mine = passed <= target && passed + sum > target;
    if (!mine && sum > 0 && passed + sum <= target) {
      mine = true;
      for (int thread = threadIdx.x + 1; thread < kChooseThreads; ++thread) mine &= sums[thread] == 0;
    }
    if (mine) {
      for (int64_t id = begin; id < end; ++id) {
        const double more = amount(id);
        if (more > 0) found = static_cast<int32_t>(id);
        if ((passed += more) > target) break;
      }
    }
    __syncthreads();
    return found;
  }

 private:
  /// The highest key that satisfies `holds`, which holds for every key below one that it holds for; 0 when none does.
  template <typename Holds>
  __device__ uint32_t highest(const Holds& holds) const {
    uint32_t key = 0;
    for (uint32_t bit = 0x80000000u; bit != 0; bit >>= 1)
      if (holds(key | bit)) key |= bit;
    return key;
  }
};

}  // namespace hint::cuda
