#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "native/core/dtype.h"

/// The declaration of an op. One OpSpec drives the binding, the shape checks, autograd, the tests, the bench and the
/// FLOP counts. docs/extend/op.md builds one from start to finish.
namespace hint {

class Call;

enum ArgFlags : unsigned {
  kRequired = 0,
  kOptional = 1,        ///< may be absent
  kDifferentiable = 2,  ///< inputs: can receive a gradient; outputs: can carry one
  kMutable = 4,         ///< inputs: the op updates it in place (optimiser state, caches)
  kSaved = 8,           ///< the backward kernel reads the values; other tensors are freed after the forward pass
  kWideGradient = 16,   ///< inputs that may be parameters: the gradient of a bf16 one may be f32
  kUnwritten = 32,      ///< mutable inputs that need not have been written before, such as caches
};

/// Which dtypes an argument may have. A gradient has the dtype of its tensor, or f32 under kWideGradient.
struct Elements {
  enum class Kind : uint8_t {
    exactly,   ///< `dtype`
    floating,  ///< f32 or bf16, whichever the caller gives
    like,      ///< that of the input `name`
    chosen,    ///< outputs: f32 or bf16 as the attribute `name` says; when it is empty, that of the input `otherwise`
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
/// The dtype that a caller chooses by an attribute such as `outputDType`: ops use it to round their result or not.
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
  /// Outputs only: whether a call produces this output. Null: every call does.
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

/// Which kernels of the CPU read and write bf16. For others the runtime converts bf16 tensors to f32 and back; see
/// widened_call.h.
enum class ReadsBf16 : uint8_t {
  never,
  /// The forward kernel does, but where rounding is simulated: that measures what f32 kernels compute.
  forward,
  always,
};

struct Kernels {
  void (*forward)(Call&) = nullptr;
  void (*backward)(Call&) = nullptr;
  ReadsBf16 readsBf16 = ReadsBf16::never;  ///< CPU only
};

/// The work of a call on a GPU. The default is one kernel that reads every tensor once, computes, and stores the
/// result.
struct GpuWork {
  double launches = 1;   ///< of kernels, and of memsets
  double passBytes = 0;  ///< bytes that kernels before or after that one read and write
};

enum class DeviceType : uint8_t { cpu, cuda };

struct OpSpec {
  const char* name;
  const char* summary;
  std::vector<ArgSpec> inputs, outputs;
  std::vector<AttributeSpec> attributes;
  Kernels cpu;   ///< every op has a forward kernel
  Kernels cuda;  ///< empty until the CUDA back end is loaded, and always for rows HINT_OP_CPU_ONLY
  /// Checks conditions that the declared shapes cannot express, and sets the dimensions of outputs that neither inputs
  /// nor attributes bind.
  void (*resolve)(Call&) = nullptr;
  /// Useful floating point operations of the forward pass (a multiply-add is two); backward is counted by
  /// backwardFlops or, when that is absent, as twice the forward.
  double (*flops)(const Call&) = nullptr;
  double (*backwardFlops)(const Call&) = nullptr;
  /// Bytes that have to move, for ops that read a part of a tensor only, or some tensor twice. Null: Call::bytes.
  double (*traffic)(const Call&) = nullptr;
  /// The work of the CUDA kernels, forward or backward as the call is; `hint estimate` uses it. Null: GpuWork's
  /// default.
  GpuWork (*gpuWork)(const Call&) = nullptr;

  const Kernels& kernelsOn(DeviceType type) const { return type == DeviceType::cuda ? cuda : cpu; }
  int inputIndex(std::string_view argument) const;
  int outputIndex(std::string_view argument) const;
};

}  // namespace hint
