#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "native/core/op_spec.h"
#include "native/core/philox.h"
#include "native/core/tensor.h"

namespace hint {

/// One application of an op: its tensors, attributes and bound dimensions. In a backward pass also the gradients: the
/// kernel writes beta(i) * old + new into every gradient that is present.
class Call {
 public:
  explicit Call(const OpSpec& spec) : spec(&spec) {}

  const OpSpec* spec;
  std::vector<Tensor> inputs, outputs;            ///< parallel to the spec; an absent one has no shape
  std::vector<bool> inputPresent, outputPresent;  ///< false: an optional argument that was not given
  std::vector<Attribute> attributes;              ///< parallel to the spec
  std::vector<std::pair<std::string, int64_t>> dimensions;
  bool backward = false;
  std::vector<Tensor> gradOutputs, gradInputs;  ///< an absent one has no buffer
  std::vector<float> betas;                     ///< parallel to gradInputs: 0 overwrite, 1 accumulate
  /// Set in calls that are saved for a backward pass: the result of the forward pass, whose failure the backward pass
  /// inherits.
  std::shared_ptr<Outcome> forwardOutcome;

  bool has(int input) const { return inputPresent[static_cast<size_t>(input)]; }
  const Tensor& in(int i) const { return inputs[static_cast<size_t>(i)]; }
  const Tensor& out(int i) const { return outputs[static_cast<size_t>(i)]; }
  bool hasOut(int i) const { return outputPresent[static_cast<size_t>(i)]; }

  /// The f32 values of input i; nullptr when the input is absent.
  const float* f(int i) const { return has(i) ? in(i).data<float>() : nullptr; }
  const int32_t* ids(int i) const { return has(i) ? in(i).data<int32_t>() : nullptr; }
  float* o(int i) const { return hasOut(i) ? out(i).data<float>() : nullptr; }
  /// Gradient of output i; nullptr when nothing downstream needs the output, which means a gradient of zeros.
  const float* go(int i) const {
    const Tensor& t = gradOutputs[static_cast<size_t>(i)];
    return t ? t.data<float>() : nullptr;
  }
  /// Destination of the gradient of input i; nullptr when the gradient is not wanted.
  float* gi(int i) const {
    const Tensor& t = gradInputs[static_cast<size_t>(i)];
    return t ? t.data<float>() : nullptr;
  }
  float beta(int i) const { return betas[static_cast<size_t>(i)]; }
  /// gi(i) for kernels that scatter. Zeroes the gradient first when beta(i) is 0, so that the kernel can always add.
  float* giZeroed(int i) const;

  int64_t dim(std::string_view name) const;
  void setDim(std::string_view name, int64_t size);
  int64_t integer(std::string_view name) const { return std::get<int64_t>(attribute(name)); }
  double number(std::string_view name) const { return std::get<double>(attribute(name)); }
  const std::string& word(std::string_view name) const { return std::get<std::string>(attribute(name)); }
  const IntList& list(std::string_view name) const { return std::get<IntList>(attribute(name)); }
  /// Reads the three attributes `dropoutRate`, `dropoutSeed` (f64 holding an integer < 2^53) and `dropoutSite`. Throws
  /// INVALID_ARGUMENT when the rate is not in [0, 1) or the seed is no such integer.
  Dropout dropout() const;

  /// Sets the dtype of an output that is declared as kAnyDType. Called by the op's resolve.
  void setOutputDType(int output, DType dtype) { outputs[static_cast<size_t>(output)].dtype = dtype; }

  /// Binds dimensions from inputs and attributes, checks dtypes and shapes, runs spec->resolve, and fills in shapes and
  /// dtypes of the outputs. Throws INVALID_SHAPE or INVALID_ARGUMENT naming op, argument and shapes, also when an input
  /// that is updated in place shares memory with another input.
  void bind();
  /// Checks the gradients of a backward call: each belongs to an argument that is present and differentiable, has its
  /// size and a dtype that it may have, and no gradient that is written shares memory with a tensor that is read.
  /// Throws INVALID_SHAPE or INVALID_ARGUMENT naming them.
  void checkGradients() const;
  double flops() const;
  /// Bytes of all tensors of the call, each counted once. A gradient that is added to counts twice, and of a tensor
  /// with slots only the slot of this call counts.
  double bytes() const;
  /// Bytes that have to move between memory and processor: spec->traffic when the op declares it, otherwise bytes().
  double traffic() const { return spec->traffic ? spec->traffic(*this) : bytes(); }
  GpuWork gpuWork() const { return spec->gpuWork ? spec->gpuWork(*this) : GpuWork{}; }
  /// "linear(x [5, 16], weight [8, 16])", for messages.
  std::string describe() const;

 private:
  const Attribute& attribute(std::string_view name) const;
  void bindTensor(const ArgSpec& arg, const Tensor& tensor);
  void checkAliases() const;
  void checkDType(const ArgSpec& arg, const Tensor& tensor) const;
  /// The dtype that the declaration gives an output; nullopt when spec->resolve sets it.
  std::optional<DType> outputDType(const ArgSpec& output) const;
  double usedBytes(const ArgSpec& arg, const Tensor& tensor) const;
  DType dtypeOfInput(const char* name) const { return in(spec->inputIndex(name)).dtype; }
  /// The first input declared with the same shape pattern as `output`; null when there is none.
  const Tensor* inputLike(const ArgSpec& output) const;
};

/// Checks that the attribute holds ragged offsets: the first is 0, none is smaller than the one before, and the last is
/// `rows`. Throws INVALID_SHAPE naming op and offsets.
void checkOffsets(const Call& call, std::string_view attribute, int64_t rows);

/// Throws INVALID_SHAPE when a dimension has more entries than the op's 32-bit indices can name.
void checkIndexable(const Call& call, std::string_view dimension);

/// The attributes every op with dropout shares.
std::vector<AttributeSpec> withDropout(std::vector<AttributeSpec> attributes);

}  // namespace hint
