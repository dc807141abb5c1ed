#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <set>
#include <utility>

namespace hint {

class MemorySource;

/// Large pieces of a source's memory (segments) that are cut into blocks. Neighbouring free blocks are joined, so that
/// memory serves blocks of any size in turn. Ragged batches hardly ever repeat a size: blocks that were kept by size
/// would pile up until the source is exhausted. Not thread-safe.
class Segments {
 public:
  explicit Segments(MemorySource& source) : source_(source) {}
  ~Segments() { trim(held_); }
  Segments(const Segments&) = delete;
  Segments& operator=(const Segments&) = delete;

  /// Takes the smallest free block that holds `bytes`. Returns its address and size; null when there is none.
  std::pair<void*, size_t> place(size_t bytes);
  /// Takes another segment of at least `bytes` and at most `most` bytes from the source. Returns false when the source
  /// has none.
  bool grow(size_t bytes, size_t most);
  /// Frees what place gave and returns its size.
  size_t release(void* pointer);
  /// Returns segments in which nothing is in use to the source, the largest first, until their sizes add up to `bytes`.
  void trim(size_t bytes);
  /// Bytes of all segments.
  size_t held() const { return held_; }

 private:
  /// Small blocks have segments of their own: they often live long, and between large blocks they would keep free
  /// neighbours from being joined.
  enum Pool { kSmall, kLarge, kPools };
  struct Block {
    size_t bytes;
    Pool pool;
    bool isFree, beginsSegment;
  };
  using Blocks = std::map<char*, Block>;

  static Pool poolOf(size_t bytes);
  void addFree(Blocks::iterator block) { free_[block->second.pool].emplace(block->second.bytes, block->first); }
  void removeFree(Blocks::iterator block) { free_[block->second.pool].erase({block->second.bytes, block->first}); }

  MemorySource& source_;
  Blocks blocks_;  ///< by address; two free blocks of a segment are never neighbours
  std::array<std::set<std::pair<size_t, char*>>, kPools> free_;
  std::array<size_t, kPools> heldBy_ = {};
  size_t held_ = 0;
};

}  // namespace hint
