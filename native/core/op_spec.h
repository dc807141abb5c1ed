#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "native/core/dtype.h"

/// What an operation is. One OpSpec drives the binding, the shape checks, autograd, the tests, the bench and the FLOP
/// counts; docs/extend/op.md builds one from start to finish.
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

/// What a call takes on a GPU beside the kernel that reads its tensors once, multiplies and stores the result.
struct GpuWork {
  double launches = 1;   ///< all kernels, cleared memory too
  double passBytes = 0;  ///< that other kernels read and write, before or behind that one
};

enum class DeviceType : uint8_t { cpu, cuda };

struct OpSpec {
  const char* name;
  const char* summary;
  std::vector<ArgSpec> inputs, outputs;
  std::vector<AttributeSpec> attributes;
  Kernels cpu;   ///< every op has some
  Kernels cuda;  ///< none before the CUDA back end is loaded, and of ops that table.def says to have none
  /// Checks what shapes cannot say and sets dimensions of the outputs that inputs and attributes do not bind.
  void (*resolve)(Call&) = nullptr;
  /// Useful floating point operations of the forward pass (a multiply-add is two); backward is counted by
  /// backwardFlops or, when that is absent, as twice the forward.
  double (*flops)(const Call&) = nullptr;
  double (*backwardFlops)(const Call&) = nullptr;
  /// Bytes that have to move, for ops that touch only part of their tensors or some twice; otherwise Call::bytes.
  double (*traffic)(const Call&) = nullptr;
  /// Of the CUDA kernels, forward and backward; absent: one kernel. See hint estimate.
  GpuWork (*gpuWork)(const Call&) = nullptr;

  const Kernels& kernelsOn(DeviceType type) const { return type == DeviceType::cuda ? cuda : cpu; }
  int inputIndex(std::string_view argument) const;
  int outputIndex(std::string_view argument) const;
};

}  // namespace hint
