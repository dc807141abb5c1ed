#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "native/core/table.h"
#include "native/runtime/stream.h"
#include "native/tests/device_call.h"

/// Shared by tests of the host side: the emulated device, failing calls of its runtime, and tensors on it.
namespace hint::testing {

/// Until it goes out of scope, calls of the emulated CUDA function `call` fail, after `after` of them have succeeded.
class Refusal {
 public:
  Refusal(const char* call, int code, int after = 0);
  ~Refusal();
  Refusal(const Refusal&) = delete;
  Refusal& operator=(const Refusal&) = delete;
};

/// Until it goes out of scope, the emulated runtime reports another CUDA version of the driver (12020: 12.2; 0: no
/// driver) and another compute capability.
class Pretence {
 public:
  Pretence(int driver, int major, int minor);
  ~Pretence();
  Pretence(const Pretence&) = delete;
  Pretence& operator=(const Pretence&) = delete;
};

std::unique_ptr<Stream> openEmulated();

/// A tensor without values.
Tensor tensorOf(Stream& stream, DType dtype, Shape shape);

template <typename T>
Tensor written(Stream& stream, DType dtype, Shape shape, const std::vector<T>& values) {
  const Tensor tensor = tensorOf(stream, dtype, std::move(shape));
  const auto* bytes = reinterpret_cast<const uint8_t*>(values.data());
  stream.write(tensor, 0, std::vector<uint8_t>(bytes, bytes + values.size() * sizeof(T)));
  return tensor;
}
template <typename T>
Tensor written(Stream& stream, DType dtype, T value) {
  return written<T>(stream, dtype, {1}, std::vector<T>{value});
}
Tensor filled(Stream& stream, Shape shape, float value);

/// Waits for the first element and returns it. Throws the error of the commands that compute it.
template <typename T>
T valueOf(Stream& stream, const Tensor& tensor) {
  std::vector<T> values(static_cast<size_t>(tensor.size()));
  std::shared_ptr<const Error> failure;
  stream.post([&] {
    try {
      stream.read(tensor, values.data());
    } catch (const Error& error) {
      failure = std::make_shared<Error>(error);
    }
  });
  waitFor(stream);
  if (failure) throw Error(*failure);
  return values.at(0);
}

/// A bound call with outputs; inputs without a buffer are absent.
std::unique_ptr<Call> callOf(Stream& stream, const char* op, std::vector<Tensor> inputs,
                             const std::vector<std::pair<std::string, Attribute>>& attributes = {});

/// Queues the call of an op and returns its first output.
Tensor enqueue(Stream& stream, const char* op, std::vector<Tensor> inputs,
               const std::vector<std::pair<std::string, Attribute>>& attributes = {});

/// x = x + y, in place through a copy.
void enqueueIncrement(Stream& stream, const Tensor& x, const Tensor& y);

}  // namespace hint::testing
