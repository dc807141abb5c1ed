#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "native/core/call.h"

/// The second half of an op's declaration, compiled into tests and bench only: a naive double-precision forward and
/// the cases on which parity, gradients, sentinels and speed are checked.
namespace hint {

/// One input of a case: normal noise times `scale` plus `shift` for floats, or the given integers for i32.
struct CaseInput {
  Shape shape;
  IntList integers = {};
  double scale = 1.0;
  double shift = 0.0;
  DType dtype = DType::f32;  ///< where the spec accepts several; f32 is also tried as bf16
};

struct OpCase {
  std::string name;                              ///< what could go wrong: "length-1 sequences", "empty prefix"
  std::vector<std::optional<CaseInput>> inputs;  ///< parallel to the spec; nullopt: absent
  std::vector<std::pair<std::string, Attribute>> attributes = {};
  bool bench = false;      ///< timed by the bench, not run by the tests
  std::string error = {};  ///< code of the error that binding or running must raise; empty: it must succeed
  /// For cases with long sums: the mean of the gradients of outputs, so that terms have one sign and their error grows
  /// with their number; then the bounds of gradients in f32 and bf16 that replace the op's.
  double gradientShift = 0.0, gradientTolerance = 0.0, bf16GradientTolerance = 0.0;
};

using Doubles = std::vector<double>;

/// Arguments of a reference: the bound call (dimensions, attributes, integer inputs) and every tensor in double. The
/// reference fills `outputs`, which have their size and are zero, and changes mutable inputs in place.
struct ReferenceCall {
  const Call& call;
  std::vector<Doubles> inputs;
  std::vector<Doubles> outputs;

  bool has(int i) const { return call.has(i); }
  double* in(int i) { return inputs[static_cast<size_t>(i)].data(); }
  double* out(int i) { return outputs[static_cast<size_t>(i)].data(); }
};

struct OpReference {
  void (*forward)(ReferenceCall&);
  std::vector<OpCase> cases;
  double forwardTolerance = 2e-6;  ///< max |a-b| / max |b|
  double gradientTolerance = 2e-5;
  double bf16GradientTolerance = 1e-2;  ///< added for tensors of bf16, because saved values are rounded
};

/// The reference of an op of the table; throws INVALID_ARGUMENT when there is none.
const OpReference& findReference(std::string_view name);

}  // namespace hint
