#pragma once

#include <cstddef>

namespace hint {

/// Messages between the ranks of a run. Those from one rank to another arrive in the order in which they were sent. All
/// members are called on one thread.
class Messages {
 public:
  virtual ~Messages() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// Start a message of at most 2^30 bytes, whose memory has to stay until areDone() has said so.
  virtual void send(int to, const void* data, size_t bytes) = 0;
  virtual void receive(int from, void* data, size_t bytes) = 0;
  /// Whether all that was started is done. Does not wait; messages may move only while it is called.
  virtual bool areDone() = 0;
  /// Takes leave of the others, which do the same.
  virtual void close() = 0;
};

}  // namespace hint
