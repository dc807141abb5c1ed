#include <array>
#include <chrono>
#include <cstring>
#include <deque>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <thread>

#include "native/collectives/group.h"
#include "native/collectives/message_communicator.h"
#include "native/math/bf16.h"
#include "native/tests/check.h"

namespace hint {
namespace {

/// Carries messages between threads of this process.
struct Post {
  std::mutex mutex;
  std::map<std::pair<int, int>, std::deque<std::vector<unsigned char>>> sent;  ///< by sender and receiver
};

class PostMessages final : public Messages {
 public:
  PostMessages(Post& post, int rank, int size) : post_(post), rank_(rank), size_(size) {}
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void send(int to, const void* data, size_t bytes) override {
    const auto* from = static_cast<const unsigned char*>(data);
    const std::lock_guard lock(post_.mutex);
    post_.sent[{rank_, to}].emplace_back(from, from + bytes);
  }
  void receive(int from, void* data, size_t bytes) override { expected_[from].push_back({data, bytes}); }
  bool areDone() override {
    const std::lock_guard lock(post_.mutex);
    bool done = true;
    for (auto& [from, wanted] : expected_) {
      auto& sent = post_.sent[{from, rank_}];
      for (; !wanted.empty() && !sent.empty(); wanted.pop_front(), sent.pop_front()) {
        CHECK(sent.front().size() == wanted.front().second);
        std::memcpy(wanted.front().first, sent.front().data(), wanted.front().second);
      }
      done &= wanted.empty();
    }
    return done;
  }
  void close() override {}

 private:
  Post& post_;
  const int rank_, size_;
  std::map<int, std::deque<std::pair<void*, size_t>>> expected_;
};

/// Runs `work` as every rank of a run, each on a thread of its own, and throws the first error of one.
void asRanks(int size, const std::function<void(Communicator&)>& work) {
  Post post;
  Interrupt interrupt;
  std::vector<std::future<void>> ranks;
  for (int rank = 0; rank < size; ++rank)
    ranks.push_back(std::async(std::launch::async, [&, rank] {
      MessageCommunicator communicator(std::make_unique<PostMessages>(post, rank, size), interrupt);
      work(communicator);
    }));
  for (auto& rank : ranks) rank.get();
}

/// A value whose sum with others depends on their order.
float termOf(int rank, size_t i) {
  return static_cast<float>((rank * 7919 + static_cast<int>(i % 1000) * 104729) % 1013) * 1e-3f;
}

Part partOf(std::vector<float>& values, int owner) { return {values.data(), values.size() * sizeof(float), owner}; }

}  // namespace

TEST("sums go to their owners in the order of ranks, whoever owns them and however long they are") {
  for (const int size : {1, 2, 3, 5})
    asRanks(size, [size](Communicator& ranks) {
      // One is cut into pieces and fills several rounds.
      const std::array<size_t, 4> lengths = {1, 70'001, 0, 3'000'000};
      std::vector<std::vector<float>> values;
      std::vector<Part> parts;
      for (size_t k = 0; k < lengths.size(); ++k) {
        auto& own = values.emplace_back(lengths[k]);
        for (size_t i = 0; i < own.size(); ++i) own[i] = termOf(ranks.rank(), i);
      }
      for (size_t k = 0; k < lengths.size(); ++k) parts.push_back(partOf(values[k], static_cast<int>(k + 1) % size));
      ranks.reduce(parts);
      for (size_t k = 0; k < lengths.size(); ++k)
        for (size_t i = 0; i < lengths[k]; ++i) {
          float sum = termOf(0, i);
          for (int rank = 1; rank < size; ++rank) sum += termOf(rank, i);
          const bool isOwner = parts[k].owner == ranks.rank();
          CHECK(values[k][i] == (isOwner ? sum : termOf(ranks.rank(), i)));
        }
    });
}

TEST("bf16 terms are added in f32, in the order of ranks, and rounded once") {
  for (const int size : {2, 3})
    asRanks(size, [size](Communicator& ranks) {
      // An odd number of values, then floats: what was received of both is aligned.
      std::vector<float> terms(3001), sums(terms.size()), more = {termOf(ranks.rank(), 7)};
      const auto count = static_cast<int64_t>(terms.size());
      std::vector<uint16_t> values(terms.size()), expected(terms.size());
      for (int rank = 0; rank < size; ++rank) {
        for (size_t i = 0; i < terms.size(); ++i) terms[i] = termOf(rank, i);
        std::vector<uint16_t> rounded(terms.size());
        toBf16(terms.data(), rounded.data(), count);
        if (rank == ranks.rank()) values = rounded;
        fromBf16(rounded.data(), terms.data(), count);
        for (size_t i = 0; i < terms.size(); ++i) sums[i] = rank == 0 ? terms[i] : sums[i] + terms[i];
      }
      toBf16(sums.data(), expected.data(), count);
      const std::vector<uint16_t> own = values;
      const std::array parts = {Part{values.data(), values.size() * 2, 1, DType::bf16}, partOf(more, 1)};
      ranks.reduce(parts);
      CHECK(values == (ranks.rank() == 1 ? expected : own));
      float sum = termOf(0, 7);
      for (int rank = 1; rank < size; ++rank) sum += termOf(rank, 7);
      if (ranks.rank() == 1) CHECK(more[0] == sum);
    });
}

TEST("every rank gets what all others give, however long it is") {
  asRanks(3, [](Communicator& ranks) {
    const auto given = [](int rank) { return std::vector<uint8_t>(static_cast<size_t>(rank) * 5, uint8_t(rank)); };
    const auto all = ranks.exchange(given(ranks.rank()));
    CHECK(all.size() == 3);
    for (int rank = 0; rank < 3; ++rank) CHECK(all[static_cast<size_t>(rank)] == given(rank));
  });
}

TEST("every rank gets the same sum, and a broadcast gives what its owner has") {
  asRanks(3, [](Communicator& ranks) {
    std::vector<float> sums = {termOf(ranks.rank(), 0), termOf(ranks.rank(), 1)};
    const Part sum = partOf(sums, 2);
    ranks.allReduce({&sum, 1});
    for (size_t i = 0; i < 2; ++i) CHECK(sums[i] == termOf(0, i) + termOf(1, i) + termOf(2, i));
    std::vector<float> first(5, static_cast<float>(ranks.rank())), last = first;
    const std::array parts = {partOf(first, 0), partOf(last, 2)};
    ranks.broadcast(parts);
    CHECK(first == std::vector<float>(5, 0.0f) && last == std::vector<float>(5, 2.0f));
  });
}

TEST("gathering brings parts to one rank and changes them at no other") {
  asRanks(3, [](Communicator& ranks) {
    std::vector<std::vector<float>> values(3, std::vector<float>(4, static_cast<float>(ranks.rank())));
    const std::array parts = {partOf(values[0], 0), partOf(values[1], 1), partOf(values[2], 2)};
    ranks.gather(parts, 1);
    for (size_t k = 0; k < 3; ++k)
      CHECK(values[k][3] == static_cast<float>(ranks.rank() == 1 ? static_cast<int>(k) : ranks.rank()));
    ranks.barrier();
  });
}

TEST("an interrupt ends the wait for a rank that never answers, with its own error") {
  Post post;
  Interrupt interrupt;
  MessageCommunicator alone(std::make_unique<PostMessages>(post, 0, 2), interrupt);
  auto waiting = std::async(std::launch::async, [&] { alone.barrier(); });
  CHECK(waiting.wait_for(std::chrono::milliseconds(20)) == std::future_status::timeout);
  interrupt.raise(std::make_shared<Error>("RANK_LOST", "Rank 1 has ended."));
  std::string message;
  try {
    waiting.get();
  } catch (const Error& error) {
    message = error.code() + ": " + error.what();
  }
  CHECK(message == "RANK_LOST: Rank 1 has ended.");
}

namespace {

/// Two ranks with a stream each.
struct Pair {
  Post post;
  Stream first{1}, second{1};
  Group firstRank{join(0)}, secondRank{join(1)};

  Group::Join join(int rank) {
    return [this, rank](const Interrupt& interrupt) {
      return std::make_unique<MessageCommunicator>(std::make_unique<PostMessages>(post, rank, 2), interrupt);
    };
  }
  Pair() {
    while (firstRank.size() < 2 || secondRank.size() < 2) std::this_thread::yield();
  }
};

Tensor filled(Stream& stream, float value) {
  Tensor tensor{nullptr, 0, DType::f32, {3}};
  tensor.buffer = stream.buffer(tensor.bytes());
  std::fill_n(static_cast<float*>(tensor.buffer->ensure()), 3, value);
  return tensor;
}

/// The first value once everything that is queued has run, or the message of what went wrong.
std::string valueOf(Stream& stream, const Tensor& tensor) {
  std::promise<std::string> promise;
  stream.post([&] {
    const auto failure = tensor.buffer->knownFailure();
    promise.set_value(failure ? failure->what() : std::to_string(*tensor.data<float>()));
  });
  return promise.get_future().get();
}

}  // namespace

TEST("collectives are ordered with the commands of their streams") {
  Pair ranks;
  Tensor a = filled(ranks.first, 1), b = filled(ranks.second, 2);
  ranks.firstRank.start(ranks.first, Collective::allReduce, {{a, 0}}, 0, "add");
  ranks.firstRank.finish(ranks.first);
  // The second rank is late: its values are those of a command that is queued behind a slow one.
  ranks.second.post([] { std::this_thread::sleep_for(std::chrono::milliseconds(30)); });
  ranks.second.assign(b, filled(ranks.second, 5));
  ranks.secondRank.start(ranks.second, Collective::allReduce, {{b, 0}}, 0, "add");
  ranks.secondRank.finish(ranks.second);
  CHECK(valueOf(ranks.first, a) == std::to_string(6.0f));
  CHECK(valueOf(ranks.second, b) == std::to_string(6.0f));
}

TEST("a failed tensor breaks its own group, and an interrupt the group that waits for it") {
  Pair ranks;
  Tensor a = filled(ranks.first, 1), never{ranks.second.buffer(12), 0, DType::f32, {3}};
  ranks.firstRank.start(ranks.first, Collective::allReduce, {{a, 0}}, 0, "add");
  ranks.firstRank.finish(ranks.first);
  ranks.secondRank.start(ranks.second, Collective::allReduce, {{never, 0}}, 0, "add");
  ranks.secondRank.finish(ranks.second);
  CHECK(valueOf(ranks.second, never).find("was never written") != std::string::npos);
  while (ranks.firstRank.activity().what != "add") std::this_thread::yield();
  ranks.firstRank.interrupt(std::make_shared<Error>("RANK_LOST", "Rank 1 failed."));
  CHECK(valueOf(ranks.first, a) == "Rank 1 failed.");
  // Broken for good: nothing waits any more.
  Tensor later = filled(ranks.first, 1);
  ranks.firstRank.start(ranks.first, Collective::broadcast, {{later, 1}}, 0, "share");
  ranks.firstRank.finish(ranks.first);
  CHECK(valueOf(ranks.first, later) == "Rank 1 failed.");
}

TEST("a group whose others never join does not keep its process") {
  Group alone([](const Interrupt&) -> std::unique_ptr<Communicator> {
    std::this_thread::sleep_for(std::chrono::hours(1));
    return nullptr;
  });
  CHECK(alone.size() == 0);
}

}  // namespace hint
