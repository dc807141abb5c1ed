#include "native/runtime/segments.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "native/core/checked.h"
#include "native/runtime/allocator.h"

namespace hint {
namespace {

/// Block sizes are multiples of this: enough for the alignment of every device access, and the smallest rest worth
/// keeping.
constexpr size_t kUnit = 512;
constexpr size_t kMostSmall = size_t{1} << 20;
/// A segment is a sixteenth of the available memory within these bounds, so that little is held unused. The largest
/// segment has room for a dozen of the largest activations of a large model.
constexpr size_t kShare = 16, kSegmentUnit = size_t{2} << 20, kMostSegment = size_t{1} << 30;

}  // namespace

Segments::Pool Segments::poolOf(size_t bytes) { return bytes <= kMostSmall ? kSmall : kLarge; }

std::pair<void*, size_t> Segments::place(size_t bytes) {
  const size_t size = roundedUp(std::max(bytes, kUnit), kUnit);
  const Pool pool = poolOf(size);
  const auto found = free_[pool].lower_bound({size, nullptr});
  if (found == free_[pool].end()) return {nullptr, 0};
  const auto block = blocks_.find(found->second);
  removeFree(block);
  if (const size_t rest = block->second.bytes - size) {
    const auto behind = blocks_.emplace(block->first + size, Block{rest, pool, true, false}).first;
    addFree(behind);
    block->second.bytes = size;
  }
  block->second.isFree = false;
  return {block->first, size};
}

bool Segments::grow(size_t bytes, size_t most) {
  const size_t least = roundedUp(bytes, kSegmentUnit);
  const Pool pool = poolOf(roundedUp(bytes, kUnit));
  const size_t share = std::min(heldBy_[pool] / kShare, kMostSegment);
  for (size_t size : {roundedUp(std::max(bytes, share), kSegmentUnit), least, roundedUp(bytes, kUnit)}) {
    if (size > most) continue;
    auto* memory = static_cast<char*>(source_.take(size));
    if (!memory) continue;
    addFree(blocks_.emplace(memory, Block{size, pool, true, true}).first);
    heldBy_[pool] += size;
    held_ += size;
    return true;
  }
  return false;
}

size_t Segments::release(void* pointer) {
  auto block = blocks_.find(static_cast<char*>(pointer));
  const size_t bytes = block->second.bytes;
  block->second.isFree = true;
  if (const auto next = std::next(block); next != blocks_.end() && next->second.isFree && !next->second.beginsSegment) {
    removeFree(next);
    block->second.bytes += next->second.bytes;
    blocks_.erase(next);
  }
  if (!block->second.beginsSegment)
    if (const auto previous = std::prev(block); previous->second.isFree) {
      removeFree(previous);
      previous->second.bytes += block->second.bytes;
      blocks_.erase(block);
      block = previous;
    }
  addFree(block);
  return bytes;
}

void Segments::trim(size_t bytes) {
  size_t given = 0;
  for (auto& free : {&free_[kLarge], &free_[kSmall]})
    for (auto largest = free->rbegin(); largest != free->rend() && given < bytes;) {
      const auto block = blocks_.find(largest->second);
      const auto next = std::next(block);
      if (!block->second.beginsSegment || (next != blocks_.end() && !next->second.beginsSegment)) {
        ++largest;
        continue;
      }
      given += block->second.bytes;
      held_ -= block->second.bytes;
      heldBy_[block->second.pool] -= block->second.bytes;
      source_.give(block->first);
      blocks_.erase(block);
      largest = std::reverse_iterator(free->erase(std::next(largest).base()));
    }
}

}  // namespace hint
