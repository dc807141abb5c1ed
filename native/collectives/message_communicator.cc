#include "native/collectives/message_communicator.h"

#include <time.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "native/collectives/abandoned.h"

namespace hint {
namespace {

/// What a rank sends of a sum at once, and holds at most of what the others have sent it.
constexpr size_t kPieceBytes = size_t{1} << 20, kReceivedBytes = size_t{16} << 20;
/// Of a message that is not summed.
constexpr size_t kMessageBytes = size_t{64} << 20;
/// Polls without a pause, a few microseconds in all; then the core is left to whoever computes.
constexpr int kEagerPolls = 64;
constexpr long kLeastPause = 50'000, kMostPause = 1'000'000, kShareOfWait = 20;

/// Calls visit(data, bytes) for pieces of at most `most` bytes.
template <typename Visit>
void inPieces(const Part& part, size_t most, const Visit& visit) {
  for (size_t at = 0; at < part.bytes; at += most)
    visit(static_cast<unsigned char*>(part.data) + at, std::min(most, part.bytes - at));
}

void add(const float* terms, float* sums, size_t count) {
  for (size_t i = 0; i < count; ++i) sums[i] += terms[i];
}

}  // namespace

MessageCommunicator::MessageCommunicator(std::unique_ptr<Messages> messages, const Interrupt& interrupt)
    : messages_(std::move(messages)), interrupt_(interrupt), rank_(messages_->rank()), size_(messages_->size()) {}

MessageCommunicator::~MessageCommunicator() {
  if (!interrupt_.raised()) return;
  abandon(std::make_shared<std::vector<float>>(std::move(received_)));
  abandon(std::move(messages_));
}

void MessageCommunicator::wait() {
  long waited = 0;
  for (int polls = 0; !messages_->areDone(); ++polls) {
    interrupt_.check();
    if (polls < kEagerPolls) continue;
    // Of a wait that is long already, a twentieth more is lost at most.
    const long nanoseconds = std::clamp(waited / kShareOfWait, kLeastPause, kMostPause);
    const timespec pause{.tv_sec = 0, .tv_nsec = nanoseconds};
    nanosleep(&pause, nullptr);
    waited += nanoseconds;
  }
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
      round.push_back({data, bytes, part.owner});
    });
  reduceRound(round);
}

void MessageCommunicator::reduceRound(std::span<const Part> pieces) {
  size_t own = 0;
  for (const Part& piece : pieces)
    if (piece.owner == rank_) own += piece.bytes / sizeof(float);
  received_.resize(std::max(received_.size(), own * static_cast<size_t>(size_ - 1)));
  const auto fromRank = [&](int from) {
    return received_.data() + own * static_cast<size_t>(from < rank_ ? from : from - 1);
  };
  for (int other = 0; other < size_; ++other) {
    if (other == rank_) continue;
    float* next = fromRank(other);
    for (const Part& piece : pieces) {
      if (piece.owner == rank_) {
        messages_->receive(other, next, piece.bytes);
        next += piece.bytes / sizeof(float);
      } else if (piece.owner == other) {
        messages_->send(other, piece.data, piece.bytes);
      }
    }
  }
  wait();
  if (own == 0 || size_ == 1) return;
  // The terms of the first rank become the sums, to which the others' are added in their order.
  size_t at = 0;
  for (const Part& piece : pieces) {
    if (piece.owner != rank_) continue;
    auto* values = static_cast<float*>(piece.data);
    const size_t count = piece.bytes / sizeof(float);
    float* sums = rank_ == 0 ? values : fromRank(0) + at;
    for (int from = 1; from < size_; ++from) add(from == rank_ ? values : fromRank(from) + at, sums, count);
    if (sums != values) std::memcpy(values, sums, piece.bytes);
    at += count;
  }
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

void MessageCommunicator::barrier() {
  float none = 0;
  const Part part{&none, sizeof none, 0};
  allReduce({&part, 1});
}

void MessageCommunicator::close() { messages_->close(); }

}  // namespace hint
