#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <set>
#include <utility>

namespace hint {

class MemorySource;

/// Large pieces of a source's memory, cut into blocks and joined again, so that blocks of any size follow each other in
/// the same memory. Sizes of ragged batches hardly ever come twice: kept by size, their blocks would pile up until the
/// source has no more. Not thread-safe.
class Segments {
 public:
  explicit Segments(MemorySource& source) : source_(source) {}
  ~Segments() { trim(held_); }
  Segments(const Segments&) = delete;
  Segments& operator=(const Segments&) = delete;

  /// The smallest free place for `bytes`, and what it takes there; null when there is none.
  std::pair<void*, size_t> place(size_t bytes);
  /// Takes another segment, for `bytes` and more to come, of at most `most` bytes. Returns false when the source gives
  /// none.
  bool grow(size_t bytes, size_t most);
  /// Frees what place gave and returns its size.
  size_t release(void* pointer);
  /// Gives segments in which nothing is in use back to the source, the largest first, until that are `bytes` or there
  /// are no more.
  void trim(size_t bytes);
  /// Bytes of all segments.
  size_t held() const { return held_; }

 private:
  /// Small blocks live long more often than not: between large ones, they would keep free neighbours from joining.
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
  Blocks blocks_;  ///< by address, free ones never next to each other in a segment
  std::array<std::set<std::pair<size_t, char*>>, kPools> free_;
  std::array<size_t, kPools> heldBy_ = {};
  size_t held_ = 0;
};

}  // namespace hint
