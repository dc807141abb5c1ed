#include "native/collectives/message_communicator.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "native/collectives/abandoned.h"
#include "native/collectives/patience.h"
#include "native/math/bf16.h"

namespace hint {
namespace {

/// What a rank sends of a sum at once, and holds at most of what the others have sent it.
constexpr size_t kPieceBytes = size_t{1} << 20, kReceivedBytes = size_t{16} << 20;
/// Of a message that is not summed.
constexpr size_t kMessageBytes = size_t{64} << 20;

/// Calls visit(data, bytes) for pieces of at most `most` bytes.
template <typename Visit>
void inPieces(const Part& part, size_t most, const Visit& visit) {
  for (size_t at = 0; at < part.bytes; at += most)
    visit(static_cast<unsigned char*>(part.data) + at, std::min(most, part.bytes - at));
}

/// Pieces begin at such bytes of what was received.
constexpr size_t kAlignment = 64;
size_t roomOf(const Part& piece) { return (piece.bytes + kAlignment - 1) / kAlignment * kAlignment; }

void addUp(std::span<const void* const> terms, float* sums, size_t count) {
  const auto* first = static_cast<const float*>(terms[0]);
  if (first != sums) std::memcpy(sums, first, count * sizeof(float));
  for (const void* more : terms.subspan(1)) {
    const auto* values = static_cast<const float*>(more);
    for (size_t i = 0; i < count; ++i) sums[i] += values[i];
  }
}

/// In f32, and rounded once.
void addUp(std::span<const void* const> terms, uint16_t* sums, size_t count) {
  constexpr size_t kBlock = 1024;
  float sum[kBlock], more[kBlock];
  for (size_t at = 0; at < count; at += kBlock) {
    const size_t some = std::min(kBlock, count - at);
    for (size_t k = 0; k < terms.size(); ++k) {
      fromBf16(static_cast<const uint16_t*>(terms[k]) + at, k == 0 ? sum : more, static_cast<int64_t>(some));
      for (size_t i = 0; k > 0 && i < some; ++i) sum[i] += more[i];
    }
    toBf16(sum, sums + at, static_cast<int64_t>(some));
  }
}

}  // namespace

MessageCommunicator::MessageCommunicator(std::unique_ptr<Messages> messages, const Interrupt& interrupt)
    : messages_(std::move(messages)), interrupt_(interrupt), rank_(messages_->rank()), size_(messages_->size()) {}

MessageCommunicator::~MessageCommunicator() {
  if (!interrupt_.raised()) return;
  abandon(std::make_shared<std::vector<Aligned>>(std::move(received_)));
  abandon(std::move(messages_));
}

void MessageCommunicator::wait() {
  for (Patience patience; !messages_->areDone(); patience.pause()) interrupt_.check();
}

void MessageCommunicator::reduce(std::span<const Part> parts) {
  std::vector<Part> round;
  // Counted alike by all ranks, so that their rounds are the same.
  std::vector<size_t> owned(static_cast<size_t>(size_), 0);
  const auto others = static_cast<size_t>(size_ - 1);
  for (const Part& part : parts)
    inPieces(part, kPieceBytes, [&](void* data, size_t bytes) {
      size_t& received = owned[static_cast<size_t>(part.owner)];
      if ((received + bytes) * others > kReceivedBytes && !round.empty()) {
        reduceRound(round);
        round.clear();
        std::fill(owned.begin(), owned.end(), 0);
      }
      received += bytes;
      round.push_back({data, bytes, part.owner, part.dtype});
    });
  reduceRound(round);
}

void MessageCommunicator::reduceRound(std::span<const Part> pieces) {
  size_t own = 0;
  for (const Part& piece : pieces)
    if (piece.owner == rank_) own += roomOf(piece);
  received_.resize(std::max(received_.size(), own * static_cast<size_t>(size_ - 1) / sizeof(Aligned)));
  const auto fromRank = [&](int from) {
    return reinterpret_cast<unsigned char*>(received_.data()) +
           own * static_cast<size_t>(from < rank_ ? from : from - 1);
  };
  for (int other = 0; other < size_; ++other) {
    if (other == rank_) continue;
    unsigned char* next = fromRank(other);
    for (const Part& piece : pieces) {
      if (piece.owner == rank_) {
        messages_->receive(other, next, piece.bytes);
        next += roomOf(piece);
      } else if (piece.owner == other) {
        messages_->send(other, piece.data, piece.bytes);
      }
    }
  }
  wait();
  if (own == 0 || size_ == 1) return;
  size_t at = 0;
  std::vector<const void*> terms(static_cast<size_t>(size_));
  for (const Part& piece : pieces) {
    if (piece.owner != rank_) continue;
    for (int from = 0; from < size_; ++from)
      terms[static_cast<size_t>(from)] = from == rank_ ? piece.data : fromRank(from) + at;
    sum(terms, piece);
    at += roomOf(piece);
  }
}

void MessageCommunicator::sum(std::span<const void* const> terms, const Part& piece) {
  const size_t count = piece.bytes / sizeOf(piece.dtype);
  if (piece.dtype == DType::bf16) return addUp(terms, static_cast<uint16_t*>(piece.data), count);
  auto* values = static_cast<float*>(piece.data);
  // The own term must last until its turn has come.
  sums_.resize(std::max(sums_.size(), count));
  addUp(terms, rank_ == 0 ? values : sums_.data(), count);
  if (rank_ != 0) std::memcpy(values, sums_.data(), piece.bytes);
}

void MessageCommunicator::allReduce(std::span<const Part> parts) {
  std::vector<Part> atFirst(parts.begin(), parts.end());
  for (Part& part : atFirst) part.owner = 0;
  reduce(atFirst);
  broadcast(atFirst);
}

void MessageCommunicator::broadcast(std::span<const Part> parts) {
  for (const Part& part : parts)
    inPieces(part, kMessageBytes, [&](void* data, size_t bytes) {
      if (part.owner != rank_) {
        messages_->receive(part.owner, data, bytes);
        return;
      }
      for (int other = 0; other < size_; ++other)
        if (other != rank_) messages_->send(other, data, bytes);
    });
  wait();
}

void MessageCommunicator::gather(std::span<const Part> parts, int root) {
  for (const Part& part : parts) {
    if (part.owner == root) continue;
    inPieces(part, kMessageBytes, [&](void* data, size_t bytes) {
      if (rank_ == part.owner)
        messages_->send(root, data, bytes);
      else if (rank_ == root)
        messages_->receive(part.owner, data, bytes);
    });
  }
  wait();
}

std::vector<std::vector<uint8_t>> MessageCommunicator::exchange(const std::vector<uint8_t>& own) {
  const auto ranks = static_cast<size_t>(size_), rank = static_cast<size_t>(rank_);
  std::vector<uint64_t> lengths(ranks);
  lengths[rank] = own.size();
  std::vector<Part> parts;
  for (size_t i = 0; i < ranks; ++i) parts.push_back({&lengths[i], sizeof lengths[i], static_cast<int>(i)});
  broadcast(parts);
  std::vector<std::vector<uint8_t>> all(ranks);
  parts.clear();
  for (size_t i = 0; i < ranks; ++i) {
    all[i].resize(lengths[i]);
    if (i == rank) all[i] = own;
    parts.push_back({all[i].data(), all[i].size(), static_cast<int>(i)});
  }
  broadcast(parts);
  return all;
}

void MessageCommunicator::barrier() {
  float none = 0;
  const Part part{&none, sizeof none, 0};
  allReduce({&part, 1});
}

void MessageCommunicator::close() { messages_->close(); }

}  // namespace hint
