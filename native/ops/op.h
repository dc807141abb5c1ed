#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "native/runtime/philox.h"
#include "native/runtime/tensor.h"

/// What an operation is. One OpSpec drives the binding, the shape checks, autograd, the tests, the bench and the FLOP
/// counts; see docs/architecture.md, "How to add an op".
namespace hint {

class Call;

enum ArgFlags : unsigned {
  kRequired = 0,
  kOptional = 1,        ///< may be absent
  kDifferentiable = 2,  ///< inputs: can receive a gradient; outputs: can carry one
  kMutable = 4,         ///< inputs: the op updates it in place (optimiser state, caches)
  kSaved = 8,           ///< the backward kernel reads its values; unsaved tensors are freed early
  kWideGradient = 16,   ///< inputs that may be parameters: where they are bf16, their gradient may be f32
  kUnwritten = 32,      ///< mutable inputs that need not have been written before: what is filled in, caches
};

/// Which dtypes an argument may have. A gradient has the dtype of its tensor, or f32 under kWideGradient.
struct Elements {
  enum class Kind : uint8_t {
    exactly,   ///< `dtype`
    floating,  ///< f32 or bf16, whichever the caller gives
    like,      ///< that of the input `name`
    chosen,    ///< outputs: f32 or bf16, as the attribute `name` says; that of the input `otherwise` where it is empty
    any,       ///< every dtype; for an output, resolve calls setOutputDType
  };
  Kind kind = Kind::exactly;
  DType dtype = DType::f32;
  const char *name = nullptr, *otherwise = nullptr;

  constexpr Elements() = default;
  constexpr Elements(DType exact) : dtype(exact) {}
  constexpr Elements(Kind of, const char* name = nullptr, const char* otherwise = nullptr)
      : kind(of), name(name), otherwise(otherwise) {}
};
constexpr Elements kFloating{Elements::Kind::floating};
constexpr Elements kAnyDType{Elements::Kind::any};
constexpr Elements like(const char* input) { return {Elements::Kind::like, input}; }
/// What ops that can round their result, or not, take the attribute `outputDType` for.
constexpr Elements chosenBy(const char* attribute, const char* otherwise = nullptr) {
  return {Elements::Kind::chosen, attribute, otherwise};
}

/// One tensor of an op. `shape` is a list of dimension names and integers, "rows dModel"; a name used twice must have
/// the same size. "*any" alone accepts every shape and binds the element count to `any`.
struct ArgSpec {
  const char* name;
  const char* shape;
  unsigned flags = kRequired;
  Elements elements = {};
  /// Outputs only: whether this call produces it; absent means always.
  bool (*present)(const Call&) = nullptr;
};

using IntList = std::vector<int32_t>;
/// Integers, numbers, words, and lists of integers such as offsets of ragged sequences (which live on the host, so
/// that they can be checked and counted when the op is enqueued).
using Attribute = std::variant<int64_t, double, std::string, IntList>;

struct AttributeSpec {
  const char* name;
  Attribute defaultValue;  ///< also fixes the kind
  bool required = false;
};

struct Kernels {
  void (*forward)(Call&) = nullptr;
  void (*backward)(Call&) = nullptr;
  /// CPU: they read and write bf16 themselves. Others get and give f32 only; see widened_call.h.
  bool readBf16 = false;
};

enum class DeviceType : uint8_t { cpu, cuda };
constexpr size_t kDeviceTypes = 2;

struct OpSpec {
  const char* name;
  const char* summary;
  std::vector<ArgSpec> inputs, outputs;
  std::vector<AttributeSpec> attributes;
  Kernels kernels[kDeviceTypes];
  /// Checks what shapes cannot say and sets dimensions of the outputs that inputs and attributes do not bind.
  void (*resolve)(Call&) = nullptr;
  /// Useful floating point operations of the forward pass (a multiply-add is two); backward is counted by
  /// backwardFlops or, when that is absent, as twice the forward.
  double (*flops)(const Call&) = nullptr;
  double (*backwardFlops)(const Call&) = nullptr;
  /// Bytes that have to move, for ops that touch only part of their tensors or some twice; otherwise Call::bytes.
  double (*traffic)(const Call&) = nullptr;

  int inputIndex(std::string_view argument) const;
  int outputIndex(std::string_view argument) const;
};

/// One application of an op: its tensors, attributes and bound dimensions. In a backward pass also the gradients: the
/// kernel writes beta(i) * old + new into every gradient that is present.
class Call {
 public:
  explicit Call(const OpSpec& spec) : spec(&spec) {}

  const OpSpec* spec;
  std::vector<Tensor> inputs, outputs;            ///< parallel to the spec; absent ones have no shape
  std::vector<bool> inputPresent, outputPresent;  ///< whether the argument takes part at all
  std::vector<Attribute> attributes;              ///< parallel to the spec
  std::vector<std::pair<std::string, int64_t>> dimensions;
  bool backward = false;
  std::vector<Tensor> gradOutputs, gradInputs;  ///< no buffer: absent
  std::vector<float> betas;                     ///< parallel to gradInputs: 0 overwrite, 1 accumulate
  /// Of calls that are saved for a backward pass: how the forward pass went, which the backward pass inherits.
  std::shared_ptr<Outcome> forwardOutcome;

  bool has(int input) const { return inputPresent[static_cast<size_t>(input)]; }
  const Tensor& in(int i) const { return inputs[static_cast<size_t>(i)]; }
  const Tensor& out(int i) const { return outputs[static_cast<size_t>(i)]; }
  bool hasOut(int i) const { return outputPresent[static_cast<size_t>(i)]; }

  /// Float data of an input, nullptr when the optional input is absent.
  const float* f(int i) const { return has(i) ? in(i).data<float>() : nullptr; }
  const int32_t* ids(int i) const { return has(i) ? in(i).data<int32_t>() : nullptr; }
  float* o(int i) const { return hasOut(i) ? out(i).data<float>() : nullptr; }
  /// Gradient of output i, nullptr when nothing downstream needs it (treat as zero).
  const float* go(int i) const {
    const Tensor& t = gradOutputs[static_cast<size_t>(i)];
    return t ? t.data<float>() : nullptr;
  }
  /// Where to write the gradient of input i, nullptr when it is not wanted.
  float* gi(int i) const {
    const Tensor& t = gradInputs[static_cast<size_t>(i)];
    return t ? t.data<float>() : nullptr;
  }
  float beta(int i) const { return betas[static_cast<size_t>(i)]; }
  /// For kernels that scatter: zeroes gradient i when it is to be overwritten, so that the kernel only ever adds.
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

  /// For resolve: fixes the dtype of an output that may have any.
  void setOutputDType(int output, DType dtype) { outputs[static_cast<size_t>(output)].dtype = dtype; }

  /// Binds dimensions from inputs and attributes, checks dtypes and shapes, runs spec->resolve, and fills in shapes
  /// and dtypes of the outputs. Throws INVALID_SHAPE / INVALID_ARGUMENT naming op, argument and shapes, also where an
  /// input that is updated in place shares memory with another.
  void bind();
  /// Checks which gradients of a backward call there are, their sizes and dtypes, and that what is written shares no
  /// memory with what is read. Throws INVALID_SHAPE / INVALID_ARGUMENT naming them.
  void checkGradients() const;
  double flops() const;
  /// Bytes of every tensor taking part, each once.
  double bytes() const;
  /// "linear(x [5, 16], weight [8, 16])", for messages.
  std::string describe() const;

 private:
  const Attribute& attribute(std::string_view name) const;
  void bindTensor(const ArgSpec& arg, const Tensor& tensor);
  void checkAliases() const;
  void checkDType(const ArgSpec& arg, const Tensor& tensor) const;
  /// What the declaration says about the dtype of an output; nullopt where resolve does.
  std::optional<DType> outputDType(const ArgSpec& output) const;
  DType dtypeOfInput(const char* name) const { return in(spec->inputIndex(name)).dtype; }
  /// The first input declared with the same shape pattern as `output`; null when there is none.
  const Tensor* inputLike(const ArgSpec& output) const;
};

/// Ragged offsets: starts with 0, never decreases, ends with `rows`. Throws INVALID_SHAPE naming op and offsets.
void checkOffsets(const Call& call, std::string_view attribute, int64_t rows);

/// Throws INVALID_SHAPE when a dimension has more entries than the op's 32-bit indices can name.
void checkIndexable(const Call& call, std::string_view dimension);

/// The attributes every op with dropout shares.
std::vector<AttributeSpec> withDropout(std::vector<AttributeSpec> attributes);

/// The op table: one row per op, in native/ops/table.def.
const std::vector<OpSpec>& opTable();
/// Throws INVALID_ARGUMENT when there is no such op.
const OpSpec& findOp(std::string_view name);
/// Sets the kernels of a device type for every op. Call before any stream of that type exists.
void installKernels(DeviceType type, Kernels (*lookup)(const char* op));

}  // namespace hint
