#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace hint::fuzz {

/// Takes values from the bytes of a fuzzer's input; zeros after the last byte.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  uint8_t byte() { return at_ < size_ ? data_[at_++] : 0; }
  bool isUsedUp() const { return at_ >= size_; }

  /// A small integer half of the time; otherwise one at the limit of an integer type, or any.
  int64_t integer() {
    static constexpr int64_t kEdges[] = {0,
                                         1,
                                         -1,
                                         2,
                                         1 << 16,
                                         INT32_MAX,
                                         INT32_MIN,
                                         int64_t{1} << 32,
                                         int64_t{1} << 48,
                                         INT64_MAX,
                                         INT64_MIN,
                                         (int64_t{1} << 53) + 1};
    const uint8_t kind = byte();
    if (kind < 160) return kind % 9;
    if (kind < 224) return kEdges[byte() % (sizeof(kEdges) / sizeof(*kEdges))];
    uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value = value << 8 | byte();
    return static_cast<int64_t>(value);
  }

  std::string word() {
    std::string text;
    for (size_t length = byte() % 12; text.size() < length;) text.push_back(static_cast<char>(byte()));
    return text;
  }

 private:
  const uint8_t* data_;
  size_t size_, at_ = 0;
};

}  // namespace hint::fuzz
