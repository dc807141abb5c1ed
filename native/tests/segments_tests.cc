// Tests the use of segments by training steps of a large model with ragged batches.
#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "native/runtime/allocator.h"
#include "native/tests/check.h"

namespace hint {
namespace {

/// A source of addresses without memory, as if of a device with `size` bytes. No address is given twice, so that
/// segments are adjacent as often as on a device.
class Addresses final : public MemorySource {
 public:
  struct Counts {
    size_t held = 0, mostHeld = 0, given = 0;
  };
  Addresses(size_t size, Counts& counts) : size_(size), counts_(counts) {}
  void* take(size_t bytes) override {
    if (bytes > size_ - counts_.held) return nullptr;
    auto* pointer = reinterpret_cast<void*>(next_);
    next_ += (bytes + 511) / 512 * 512;
    blocks_[pointer] = bytes;
    counts_.held += bytes;
    counts_.mostHeld = std::max(counts_.mostHeld, counts_.held);
    return pointer;
  }
  void give(void* pointer) override {
    counts_.held -= blocks_.at(pointer);
    counts_.given += blocks_.at(pointer);
    blocks_.erase(pointer);
  }
  bool isSlow() const override { return true; }

 private:
  const size_t size_;
  Counts& counts_;
  uintptr_t next_ = 1 << 20;
  std::map<void*, size_t> blocks_;
};

/// Allocates and frees the tensors of a step, and counts the live bytes that were asked for.
class Tensors {
 public:
  explicit Tensors(Allocator& allocator) : allocator_(allocator) {}
  struct Tensor {
    void* pointer;
    size_t bytes;
  };
  Tensor make(int64_t elements, int64_t size) {
    const auto bytes = static_cast<size_t>(elements * size);
    live_ += bytes;
    mostLive_ = std::max(mostLive_, live_);
    return {allocator_.acquire(bytes), bytes};
  }
  void free(Tensor tensor) {
    allocator_.release(tensor.pointer, tensor.bytes);
    live_ -= tensor.bytes;
  }
  void free(std::vector<Tensor>& tensors) {
    for (; !tensors.empty(); tensors.pop_back()) free(tensors.back());
  }
  size_t mostLive() const { return mostLive_; }

 private:
  Allocator& allocator_;
  size_t live_ = 0, mostLive_ = 0;
};

/// The sizes of T5 XL with HINT's modules, which a training step in bf16 follows.
constexpr int64_t kWidth = 2048, kHidden = 5120, kHeads = 32, kLayers = 24, kVocabulary = 32128, kAdapter = 512,
                  kPrefix = 30;
constexpr int64_t kNarrow = 2, kWide = 4;

using Kept = std::vector<Tensors::Tensor>;

/// Allocates the tensors that live for the whole training: f32 weights, their bf16 copies, gradients and factored
/// moments.
Kept parameters(Tensors& tensors) {
  Kept kept;
  const auto parameter = [&](int64_t rows, int64_t columns) {
    kept.push_back(tensors.make(rows * columns, kWide));
    kept.push_back(tensors.make(rows * columns, kNarrow));
    kept.push_back(tensors.make(rows * columns, kWide));
    kept.push_back(tensors.make(rows, kWide));
    kept.push_back(tensors.make(columns, kWide));
  };
  parameter(kVocabulary, kWidth);
  parameter(kVocabulary, kWidth);
  for (int64_t layer = 0; layer < 2 * kLayers; ++layer) {
    for (int i = 0; i < (layer < kLayers ? 4 : 8); ++i) parameter(kWidth, kWidth);
    for (int i = 0; i < 3; ++i) parameter(kWidth, kHidden);
    parameter(1, kWidth);
  }
  return kept;
}

/// One layer forward over `rows` tokens. Returns the tensors that the backward pass needs and frees the others.
Kept forward(Tensors& tensors, int64_t rows, bool isDecoder) {
  Kept kept;
  const auto keep = [&](int64_t elements, int64_t size) { kept.push_back(tensors.make(elements, size)); };
  for (int attention = 0; attention < (isDecoder ? 2 : 1); ++attention) {
    keep(rows * kWidth, kNarrow);  // norm
    keep(rows, kWide);
    for (int i = 0; i < 4; ++i) keep(rows * kWidth, kNarrow);  // q, k, v, o
    keep(rows * kHeads, kWide);
    const auto projected = tensors.make(rows * kWidth, kNarrow);
    keep(rows * kWidth, kWide);  // residual stream
    tensors.free(projected);
  }
  keep(rows * kWidth, kNarrow);
  keep(rows, kWide);
  for (int i = 0; i < 3; ++i) keep(rows * kHidden, kNarrow);
  const auto output = tensors.make(rows * kWidth, kWide);
  keep(rows * kAdapter, kNarrow);
  const auto adapted = tensors.make(rows * kWidth, kWide);
  tensors.free(output);
  keep(rows * kWidth, kWide);
  tensors.free(adapted);
  return kept;
}

/// The same layer backward: each gradient lives until the next one has been computed from it.
void backward(Tensors& tensors, int64_t rows, Kept& kept, Tensors::Tensor& gradient) {
  const auto step = [&](Tensors::Tensor& current, int64_t elements, int64_t size) {
    const auto next = tensors.make(elements, size);
    tensors.free(current);
    current = next;
  };
  auto branch = tensors.make(rows * kWidth, kNarrow);
  step(branch, rows * kHidden, kNarrow);
  const auto gate = tensors.make(rows * kHidden, kNarrow);
  step(branch, rows * kHidden, kNarrow);
  step(branch, rows * kWidth, kNarrow);
  tensors.free(gate);
  step(gradient, rows * kWidth, kWide);
  step(branch, rows * kWidth, kNarrow);
  const auto delta = tensors.make(rows * kHeads, kWide);
  Kept parts;
  for (int i = 0; i < 3; ++i) parts.push_back(tensors.make(rows * kWidth, kNarrow));
  tensors.free(delta);
  tensors.free(parts);
  step(gradient, rows * kWidth, kWide);
  tensors.free(branch);
  tensors.free(kept);
}

/// Forward and backward over one microbatch of `tasks` tasks.
void microbatch(Tensors& tensors, int64_t tasks, int64_t inputs, int64_t instructions, int64_t targets) {
  std::vector<Kept> kept;
  std::vector<int64_t> rows;
  Kept modules, held;
  const auto pass = [&](int64_t tokens, bool isDecoder) {
    for (int64_t layer = 0; layer < kLayers; ++layer) {
      if (!modules.empty() && tokens != instructions) held.push_back(tensors.make(tokens, kWide));
      kept.push_back(forward(tensors, tokens, isDecoder));
      rows.push_back(tokens);
    }
  };
  pass(instructions, false);
  for (int64_t slot = 0; slot < 2 * kLayers; ++slot) {
    modules.push_back(tensors.make(tasks * kWidth * kAdapter, kNarrow));
    modules.push_back(tensors.make(tasks * kWidth * kAdapter, kNarrow));
    modules.push_back(tensors.make(tasks * kPrefix * kWidth, kNarrow));
  }
  pass(inputs, false);
  pass(targets, true);
  // Logits exist for one chunk of rows at a time.
  const auto logits = tensors.make(2048 * kVocabulary, kWide), narrow = tensors.make(2048 * kVocabulary, kNarrow);
  auto gradient = tensors.make(targets * kWidth, kWide);
  tensors.free(logits);
  tensors.free(narrow);
  Kept gradients;
  for (size_t i = kept.size(); i-- > 0;) {
    if (i + 1 < kept.size() && rows[i] != rows[i + 1]) {
      const auto next = tensors.make(rows[i] * kWidth, kWide);
      tensors.free(gradient);
      gradient = next;
    }
    if (i >= static_cast<size_t>(kLayers)) {
      gradients.push_back(tensors.make(tasks * kWidth * kAdapter, kNarrow));
      gradients.push_back(tensors.make(tasks * kWidth * kAdapter, kNarrow));
    } else if (!modules.empty()) {
      tensors.free(gradients);
      tensors.free(modules);
    }
    backward(tensors, rows[i], kept[i], gradient);
  }
  tensors.free(held);
  tensors.free(gradient);
}

/// Steps of eight microbatches, each with its own numbers of tasks and tokens. Returns the peak of live bytes.
size_t raggedSteps(Allocator& allocator, int steps) {
  Tensors tensors(allocator);
  Kept held = parameters(tensors);
  std::mt19937 random(7);
  const auto between = [&](int64_t low, int64_t high) {
    return low + static_cast<int64_t>(random() % static_cast<uint32_t>(high - low + 1));
  };
  for (int i = 0; i < 8 * steps; ++i) {
    const int64_t tasks = between(4, 12);
    microbatch(tensors, tasks, between(8000, 14000), tasks * between(40, 300), between(300, 2500));
  }
  tensors.free(held);
  return tensors.mostLive();
}

TEST("ragged steps of a 3B model hold at most a tenth more than is alive, and give nothing back on the way") {
  Addresses::Counts counts;
  Allocator allocator(std::make_unique<Addresses>(size_t{1} << 42, counts));
  const size_t live = raggedSteps(allocator, 6);
  CHECK_EQUAL(counts.given, 0u);
  CHECK(counts.mostHeld <= live + live / 10);
  CHECK_EQUAL(allocator.stats().inUse, 0u);
  CHECK_EQUAL(allocator.stats().cached, counts.held);
}

TEST("a device with room for a tenth more than is alive is enough for ragged steps") {
  Addresses::Counts counts;
  Allocator rehearsal(std::make_unique<Addresses>(size_t{1} << 42, counts));
  const size_t size = raggedSteps(rehearsal, 2) / 10 * 11;
  Addresses::Counts scarce;
  Allocator allocator(std::make_unique<Addresses>(size, scarce));
  raggedSteps(allocator, 2);
  CHECK(scarce.mostHeld <= size);
  CHECK_EQUAL(scarce.given, 0u);
}

TEST("blocks of a segment join again, whatever the order in which they are freed") {
  Addresses::Counts counts;
  Allocator allocator(std::make_unique<Addresses>(size_t{1} << 30, counts));
  constexpr size_t kPart = size_t{6} << 20;
  for (const auto& order : {std::vector<size_t>{0, 1, 2}, {2, 1, 0}, {0, 2, 1}, {1, 0, 2}}) {
    void* whole = allocator.acquire(3 * kPart);
    allocator.release(whole, 3 * kPart);
    void* parts[3];
    for (void*& part : parts) part = allocator.acquire(kPart);
    for (size_t i : order) allocator.release(parts[i], kPart);
    CHECK_EQUAL(allocator.acquire(3 * kPart), whole);
    allocator.release(whole, 3 * kPart);
  }
  CHECK_EQUAL(counts.held, 3 * kPart);
  CHECK_EQUAL(allocator.stats().sourceCalls, 1u);
}

TEST("when a device runs out, no more is given back than is needed, and nothing in use is moved") {
  Addresses::Counts counts;
  constexpr size_t kMiB = size_t{1} << 20;
  Allocator allocator(std::make_unique<Addresses>(102 * kMiB, counts));
  std::vector<std::pair<void*, size_t>> blocks;
  for (size_t size : {10, 20, 30, 36}) blocks.emplace_back(allocator.acquire(size * kMiB), size * kMiB);
  CHECK_EQUAL(counts.held, 96 * kMiB);
  for (const auto& [block, bytes] : blocks) allocator.release(block, bytes);
  void* large = allocator.acquire(40 * kMiB);
  CHECK_EQUAL(counts.given, 36 * kMiB);
  void* small = allocator.acquire(kMiB);
  void* middle = allocator.acquire(25 * kMiB);
  CHECK_EQUAL(counts.given, 36 * kMiB);
  const Error error = ERROR_OF("OUT_OF_MEMORY", allocator.acquire(64 * kMiB));
  CHECK_CONTAINS(error.what(), "bytes held by tensors");
  allocator.release(large, 40 * kMiB);
  allocator.release(middle, 25 * kMiB);
  large = allocator.acquire(64 * kMiB);
  allocator.release(large, 64 * kMiB);
  allocator.release(small, kMiB);
  allocator.trim();
  CHECK_EQUAL(counts.held, 0u);
}

TEST("a memory limit holds for segments too") {
  Addresses::Counts counts;
  Allocator allocator(std::make_unique<Addresses>(size_t{1} << 40, counts), size_t{64} << 20);
  void* held = allocator.acquire(size_t{40} << 20);
  ERROR_OF("OUT_OF_MEMORY", allocator.acquire(size_t{30} << 20));
  ERROR_OF("OUT_OF_MEMORY", allocator.acquire(SIZE_MAX));
  CHECK(counts.mostHeld <= size_t{64} << 20);
  allocator.release(held, size_t{40} << 20);
  allocator.release(allocator.acquire(size_t{60} << 20), size_t{60} << 20);
  CHECK(counts.mostHeld <= size_t{64} << 20);
}

}  // namespace
}  // namespace hint
