#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "native/ops/common/reference.h"
#include "native/runtime/allocator.h"

/// Makes bound calls on guarded memory from the cases of references, for the tests and the bench.
namespace hint::testing {

/// The allocator of all cases.
const std::shared_ptr<Allocator>& caseAllocator();

/// Makes later tensors begin `elements` elements after an aligned address.
void setCaseOffset(int64_t elements);

/// A tensor with a guard of at least 64 bytes on either side, which no kernel may touch. All bits of tensor and guards
/// are ones (NaN). A tensor without elements has no memory, as on a stream.
Tensor guardedTensor(DType dtype, const Shape& shape);
/// Whether the guards of a tensor from guardedTensor are unchanged.
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

/// The values of a tensor of any dtype as doubles.
Doubles toDoubles(const Tensor& tensor);
/// Fills a tensor with normal noise that depends on the seed alone.
void fillNoise(const Tensor& tensor, uint64_t seed, double scale = 1.0, double shift = 0.0);

/// The tensors of a case that are bf16: names of inputs, and kOutputs for the outputs whose dtype the attribute
/// outputDType chooses. All others whose dtype can be chosen are f32.
using Storage = std::vector<std::string>;
constexpr const char* kOutputs = "outputs";

/// Every storage of a case except the one without bf16; the last has all the tensors in bf16 that can be.
std::vector<Storage> bf16Storages(const OpSpec& op, const OpCase& example);

/// A forward call with its inputs filled and its outputs allocated, ready to execute. Throws what Call::bind throws
/// and INVALID_ARGUMENT when the case does not fit the op's declaration.
Call makeCall(const OpSpec& op, const OpCase& example, const Storage& storage = {});

/// The gradients that a backward call gets and gives.
struct BackwardRequest {
  std::vector<bool> wanted;       ///< parallel to the inputs
  std::vector<bool> gradPresent;  ///< parallel to the outputs
  float beta = 0.0f;
  bool wide = false;           ///< gradients are f32 when the declaration allows it
  double gradientShift = 0.0;  ///< mean of the gradients of outputs
};

/// The inputs that can receive a gradient in this call, and the outputs that can carry one.
std::vector<bool> differentiableInputs(const Call& call);
std::vector<bool> differentiableOutputs(const Call& call);

/// The backward call that follows an executed forward call: only saved tensors keep their buffers; gradients of outputs
/// are noise; gradients of inputs start as noise when accumulated into, otherwise as NaN.
Call makeBackward(const Call& forward, const BackwardRequest& request);

}  // namespace hint::testing
