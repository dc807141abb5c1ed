#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "native/ops/common/reference.h"
#include "native/runtime/allocator.h"

/// Turns the cases of references into bound calls on guarded memory, for the tests and the bench.
namespace hint::testing {

/// Memory of all cases.
const std::shared_ptr<Allocator>& caseAllocator();

/// Tensors that are made from now on begin so many elements behind where their memory is aligned.
void setCaseOffset(int64_t elements);

/// A tensor with at least 64 bytes on either side that no kernel may touch; the bytes of tensor and guards are all ones
/// (NaN). A tensor without elements has no memory at all, as on a stream.
Tensor guardedTensor(DType dtype, const Shape& shape);
/// Whether the guards of a tensor made by guardedTensor still hold what was put there.
bool guardsIntact(const Tensor& tensor);

/// While it lives, AddressSanitizer (when built in) reports any access to the guards of the call's tensors.
class PoisonedGuards {
 public:
  explicit PoisonedGuards(const Call& call);
  ~PoisonedGuards();
  PoisonedGuards(const PoisonedGuards&) = delete;
  PoisonedGuards& operator=(const PoisonedGuards&) = delete;

 private:
  void each(void (*visit)(void*, size_t)) const;
  std::vector<Tensor> tensors_;
};

/// Values as doubles, whatever the dtype.
Doubles toDoubles(const Tensor& tensor);
/// Normal noise, the same for equal seeds.
void fillNoise(const Tensor& tensor, uint64_t seed, double scale = 1.0, double shift = 0.0);

/// What is stored as bf16 where the declaration leaves a choice: names of inputs, and kOutputs for those outputs whose
/// dtype the attribute outputDType chooses. Everything else that has a choice is f32.
using Storage = std::vector<std::string>;
constexpr const char* kOutputs = "outputs";

/// Every storage of a case but the one that is all f32; last the one with all the bf16 there can be.
std::vector<Storage> bf16Storages(const OpSpec& op, const OpCase& example);

/// A forward call with its inputs filled and its outputs allocated, ready to execute. Throws what Call::bind throws
/// and INVALID_ARGUMENT when the case does not fit the op's declaration.
Call makeCall(const OpSpec& op, const OpCase& example, const Storage& storage = {});

/// What one backward call is asked for.
struct BackwardRequest {
  std::vector<bool> wanted;       ///< parallel to the inputs
  std::vector<bool> gradPresent;  ///< parallel to the outputs
  float beta = 0.0f;
  bool wide = false;           ///< gradients are f32 where they may be
  double gradientShift = 0.0;  ///< mean of the gradients of outputs
};

/// The inputs that can receive a gradient in this call, and the outputs that can carry one.
std::vector<bool> differentiableInputs(const Call& call);
std::vector<bool> differentiableOutputs(const Call& call);

/// The backward call that follows an executed forward call: only saved tensors keep their buffers; gradients of outputs
/// are noise; gradients of inputs start as noise when accumulated into, otherwise as NaN.
Call makeBackward(const Call& forward, const BackwardRequest& request);

}  // namespace hint::testing
