#pragma once

#include <memory>
#include <vector>

#include "native/collectives/communicator.h"
#include "native/collectives/messages.h"

namespace hint {

/// Collectives made of messages from rank to rank. A part goes straight to its owner, or from it to all others: where
/// owners have equal shares, no rank sends more than a ring would. Waits poll, so that an interrupt ends them.
class MessageCommunicator final : public Communicator {
 public:
  /// `interrupt` outlives the communicator.
  MessageCommunicator(std::unique_ptr<Messages> messages, const Interrupt& interrupt);
  ~MessageCommunicator() override;

  DeviceType type() const override { return DeviceType::cpu; }
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void reduce(std::span<const Part> parts) override;
  void allReduce(std::span<const Part> parts) override;
  void broadcast(std::span<const Part> parts) override;
  void gather(std::span<const Part> parts, int root) override;
  std::vector<std::vector<uint8_t>> exchange(const std::vector<uint8_t>& own) override;
  void barrier() override;
  void close() override;

 private:
  void reduceRound(std::span<const Part> pieces);
  /// Of every rank's values of a piece, in their order, at the piece.
  void sum(std::span<const void* const> terms, const Part& piece);
  void wait();

  std::unique_ptr<Messages> messages_;
  const Interrupt& interrupt_;
  const int rank_, size_;
  struct alignas(64) Aligned {
    unsigned char bytes[64];
  };
  std::vector<Aligned> received_;  ///< of the other ranks, in their order
  std::vector<float> sums_;
};

}  // namespace hint
