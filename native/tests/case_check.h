#pragma once

#include <functional>
#include <string>
#include <vector>

#include "native/tests/case.h"

namespace hint::testing {

struct CaseResult {
  double forwardError = 0;   ///< largest max |a-b| / max |b| over outputs and updated inputs
  double gradientError = 0;  ///< the same over sampled elements of the gradients
  std::vector<std::string> failures;
};

/// A device on which cases run: how it executes a call, and the factor of its bounds over those of the CPU.
struct Target {
  std::function<void(Call&)> execute;
  double slack = 1;
  /// In calls with bf16 tensors: the most roundings to bf16 from an input to a result. The CPU rounds once, when it
  /// stores.
  double roundings = 1;
};

/// Runs one case of an op on `threads` threads: parity with the double reference, equality of two runs, guards, and,
/// when the op is differentiable, its gradients against central finite differences of the reference. Tensors that
/// `storage` names are bf16; the reference then gets the rounded inputs.
CaseResult checkCase(const OpSpec& op, const OpReference& reference, const OpCase& example, int threads,
                     const Storage& storage = {});
/// The same on the device of `target`.
CaseResult checkCase(const OpSpec& op, const OpReference& reference, const OpCase& example, const Target& target,
                     const Storage& storage = {});

}  // namespace hint::testing
