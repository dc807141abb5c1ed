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

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void reduce(std::span<const Part> parts) override;
  void allReduce(std::span<const Part> parts) override;
  void broadcast(std::span<const Part> parts) override;
  void gather(std::span<const Part> parts, int root) override;
  void barrier() override;
  void close() override;

 private:
  void reduceRound(std::span<const Part> pieces);
  void wait();

  std::unique_ptr<Messages> messages_;
  const Interrupt& interrupt_;
  const int rank_, size_;
  std::vector<float> received_;  ///< of the other ranks, in their order
};

}  // namespace hint
