#include "native/tests/case_check.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <sstream>

#include "native/core/error.h"
#include "native/runtime/cpu/widened_call.h"
#include "native/runtime/parallel.h"
#include "native/runtime/stream.h"

namespace hint::testing {
namespace {

// Elements of an input whose derivative is checked one by one; fewer for large inputs, which are there to test the
// split among threads.
constexpr size_t kSamples = 24, kSamplesOfLarge = 4, kLarge = 20000;
constexpr double kStep = 1e-5;
// The largest relative rounding error of bf16, which has eight significant bits.
constexpr double kRounding = 1.0 / 256;

double largest(const Doubles& values) {
  double result = 0;
  for (double value : values) result = std::max(result, std::fabs(value));
  return result;
}

/// max |a-b| / max |b|; equal non-finite values have no error, a NaN against a number an infinite one.
double relativeError(const Doubles& actual, const Doubles& expected) {
  double difference = 0, scale = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double a = actual[i], b = expected[i];
    if (a == b || (std::isnan(a) && std::isnan(b))) {
      if (std::isfinite(b)) scale = std::max(scale, std::fabs(b));
      continue;
    }
    if (!std::isfinite(a) || !std::isfinite(b)) return std::numeric_limits<double>::infinity();
    difference = std::max(difference, std::fabs(a - b));
    scale = std::max(scale, std::fabs(b));
  }
  return scale > 0 ? difference / scale : difference;
}

std::vector<unsigned char> bytesOf(const Tensor& tensor) {
  std::vector<unsigned char> bytes;
  if (tensor && tensor.bytes()) {
    const auto* data =
        static_cast<unsigned char*>(tensor.buffer->data()) + tensor.offset * static_cast<int64_t>(sizeOf(tensor.dtype));
    bytes.assign(data, data + tensor.bytes());
  }
  return bytes;
}

class Check {
 public:
  Check(const OpSpec& op, const OpReference& reference, const OpCase& example, const Target& target,
        const Storage& storage)
      : op_(op), reference_(reference), example_(example), target_(target), storage_(storage) {}

  CaseResult run() {
    try {
      Call call = forward();
      if (example_.error.empty()) {
        const auto inputs = differentiableInputs(call);
        const auto outputs = differentiableOutputs(call);
        if (any(inputs) && any(outputs)) gradients(call, inputs, outputs);
      } else {
        report("should have failed with ", example_.error, " but succeeded");
      }
    } catch (const Error& error) {
      if (example_.error.empty() || error.code() != example_.error) report(error.code(), ": ", error.what());
    }
    return std::move(result_);
  }

 private:
  template <typename... Parts>
  void report(const Parts&... parts) {
    std::ostringstream message;
    (message << ... << parts);
    result_.failures.push_back(message.str());
  }

  static bool any(const std::vector<bool>& flags) { return std::find(flags.begin(), flags.end(), true) != flags.end(); }

  /// Executes and checks that the call wrote nothing outside what it may write.
  void execute(Call& call, const char* what) {
    std::vector<std::pair<const Tensor*, std::vector<unsigned char>>> constants;
    for (size_t i = 0; i < call.inputs.size(); ++i)
      if (call.inputs[i] && (call.backward || !(op_.inputs[i].flags & kMutable)))
        constants.emplace_back(&call.inputs[i], bytesOf(call.inputs[i]));
    if (call.backward)
      for (const auto* group : {&call.outputs, &call.gradOutputs})
        for (const Tensor& tensor : *group)
          if (tensor) constants.emplace_back(&tensor, bytesOf(tensor));
    {
      PoisonedGuards poisoned(call);
      target_.execute(call);
    }
    for (const auto& [tensor, bytes] : constants)
      if (bytesOf(*tensor) != bytes)
        report(what, ": changed a tensor of shape ", toString(tensor->shape), " it may only read");
    const std::pair<const char*, const std::vector<Tensor>*> groups[] = {{"input", &call.inputs},
                                                                         {"output", &call.outputs},
                                                                         {"gradient of output", &call.gradOutputs},
                                                                         {"gradient of input", &call.gradInputs}};
    for (const auto& [name, tensors] : groups)
      for (size_t i = 0; i < tensors->size(); ++i)
        if (!guardsIntact((*tensors)[i])) report(what, ": wrote outside ", name, " ", i);
  }

  Call forward() {
    Call call = makeCall(op_, example_, storage_);
    // The reference has a call of its own, so that it does not see inputs that the kernel updates in place.
    referenceCall_ = std::make_unique<Call>(makeCall(op_, example_, storage_));
    for (const Tensor& tensor : referenceCall_->inputs)
      referenceInputs_.push_back(tensor ? toDoubles(tensor) : Doubles());
    execute(call, "forward");
    if (!example_.error.empty()) return call;

    ReferenceCall expected = evaluate(referenceInputs_);
    for (size_t i = 0; i < call.outputs.size(); ++i)
      if (call.outputPresent[i]) compare(op_.outputs[i].name, call.outputs[i], expected.outputs[i]);
    for (size_t i = 0; i < call.inputs.size(); ++i)
      if (call.inputPresent[i] && (op_.inputs[i].flags & kMutable))
        compare(op_.inputs[i].name, call.inputs[i], expected.inputs[i]);

    Call again = makeCall(op_, example_, storage_);
    execute(again, "second forward");
    for (size_t i = 0; i < call.outputs.size(); ++i)
      if (bytesOf(call.outputs[i]) != bytesOf(again.outputs[i]))
        report(op_.outputs[i].name, " differs from run to run");
    for (size_t i = 0; i < call.inputs.size(); ++i)
      if (bytesOf(call.inputs[i]) != bytesOf(again.inputs[i])) report(op_.inputs[i].name, " differs from run to run");
    return call;
  }

  ReferenceCall evaluate(const std::vector<Doubles>& inputs) {
    ReferenceCall call{*referenceCall_, inputs, {}};
    for (size_t i = 0; i < referenceCall_->outputs.size(); ++i)
      call.outputs.emplace_back(
          referenceCall_->outputPresent[i] ? static_cast<size_t>(referenceCall_->outputs[i].size()) : 0);
    reference_.forward(call);
    return call;
  }

  void compare(const char* name, const Tensor& actual, const Doubles& expected) {
    const double error = relativeError(toDoubles(actual), expected);
    result_.forwardError = std::max(result_.forwardError, error);
    const double limit = reference_.forwardTolerance * target_.slack +
                         (actual.dtype == DType::bf16 ? kRounding * target_.roundings : 0.0);
    if (!(error <= limit)) report(name, " is off by ", error, ", more than ", limit);
  }

  using Gradients = std::vector<Doubles>;

  /// Runs the backward pass twice and returns its gradients; absent ones are empty.
  Gradients backward(const Call& forward, const BackwardRequest& request, const std::string& what) {
    Gradients gradients(forward.inputs.size());
    Call call = makeBackward(forward, request), again = makeBackward(forward, request);
    execute(call, what.c_str());
    execute(again, what.c_str());
    for (size_t i = 0; i < call.inputs.size(); ++i) {
      if (!call.gradInputs[i]) continue;
      if (bytesOf(call.gradInputs[i]) != bytesOf(again.gradInputs[i]))
        report(what, ": gradient of ", op_.inputs[i].name, " differs from run to run");
      gradients[i] = toDoubles(call.gradInputs[i]);
    }
    return gradients;
  }

  BackwardRequest request(const std::vector<bool>& inputs, const std::vector<bool>& outputs, float beta,
                          bool wide) const {
    return {inputs, outputs, beta, wide, example_.gradientShift};
  }

  double gradientLimit() const {
    const auto chosen = [](double own, double common) { return own > 0 ? own : common; };
    const double rounded = chosen(example_.bf16GradientTolerance, reference_.bf16GradientTolerance);
    return chosen(example_.gradientTolerance, reference_.gradientTolerance) * target_.slack +
           (hasBf16(*referenceCall_) ? rounded * target_.roundings : 0.0);
  }

  void compareGradient(const std::string& what, size_t input, const Doubles& actual, const Doubles& expected) {
    const double error = relativeError(actual, expected);
    result_.gradientError = std::max(result_.gradientError, error);
    const double limit = gradientLimit();
    if (!(error <= limit))
      report(what, ": gradient of ", op_.inputs[input].name, " is off by ", error, ", more than ", limit);
  }

  void gradients(const Call& forward, const std::vector<bool>& inputs, const std::vector<bool>& outputs) {
    const Gradients all = backward(forward, request(inputs, outputs, 0.0f, true), "backward");
    againstDifferences(forward, "backward", outputs, all);

    const Call accumulated = makeBackward(forward, request(inputs, outputs, 1.0f, true));
    const Gradients added = backward(forward, request(inputs, outputs, 1.0f, true), "accumulating backward");
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!inputs[i]) continue;
      Doubles expected = toDoubles(accumulated.gradInputs[i]);
      for (size_t k = 0; k < expected.size(); ++k) expected[k] += all[i][k];
      compareGradient("accumulating backward", i, added[i], expected);
    }

    if (std::count(inputs.begin(), inputs.end(), true) > 1)
      for (size_t i = 0; i < inputs.size(); ++i) {
        if (!inputs[i]) continue;
        std::vector<bool> only(inputs.size(), false);
        only[i] = true;
        const std::string what = std::string("backward for ") + op_.inputs[i].name + " alone";
        compareGradient(what, i, backward(forward, request(only, outputs, 0.0f, false), what)[i], all[i]);
      }

    if (std::count(outputs.begin(), outputs.end(), true) > 1)
      for (size_t i = 0; i < outputs.size(); ++i) {
        if (!outputs[i]) continue;
        std::vector<bool> without = outputs;
        without[i] = false;
        const std::string what = std::string("backward without a gradient of ") + op_.outputs[i].name;
        againstDifferences(forward, what, without, backward(forward, request(inputs, without, 0.0f, false), what));
      }
  }

  /// sum(gradient of output * output) of the reference, whose derivative the backward pass computes.
  double loss(const std::vector<Doubles>& inputs, const std::vector<Doubles>& weights) {
    const ReferenceCall call = evaluate(inputs);
    double total = 0;
    for (size_t i = 0; i < weights.size(); ++i)
      for (size_t k = 0; k < weights[i].size(); ++k) total += weights[i][k] * call.outputs[i][k];
    return total;
  }

  /// Single elements show where a gradient is wrong; one random direction shows whether any element is.
  void againstDifferences(const Call& forward, const std::string& what, const std::vector<bool>& outputs,
                          const Gradients& gradients) {
    const Call shapes =
        makeBackward(forward, request(std::vector<bool>(forward.inputs.size(), false), outputs, 0.0f, false));
    std::vector<Doubles> weights;
    for (const Tensor& tensor : shapes.gradOutputs) weights.push_back(tensor ? toDoubles(tensor) : Doubles());
    std::mt19937_64 engine(7);
    for (size_t i = 0; i < gradients.size(); ++i) {
      const size_t count = gradients[i].size();
      if (count == 0) continue;
      std::vector<Doubles> inputs = referenceInputs_;
      std::vector<size_t> sampled(count);
      for (size_t k = 0; k < count; ++k) sampled[k] = k;
      std::shuffle(sampled.begin(), sampled.end(), engine);
      sampled.resize(std::min(count, count > kLarge ? kSamplesOfLarge : kSamples));
      Doubles actual, expected;
      for (size_t k : sampled) {
        const double value = inputs[i][k];
        inputs[i][k] = value + kStep;
        const double above = loss(inputs, weights);
        inputs[i][k] = value - kStep;
        const double below = loss(inputs, weights);
        inputs[i][k] = value;
        expected.push_back((above - below) / (2 * kStep));
        actual.push_back(gradients[i][k]);
      }
      compareGradient(what, i, actual, expected);

      Doubles signs(count);
      double along = 0;
      for (size_t k = 0; k < count; ++k) {
        signs[k] = engine() & 1 ? 1 : -1;
        along += signs[k] * gradients[i][k];
      }
      const auto shifted = [&](double step) {
        std::vector<Doubles> moved = referenceInputs_;
        for (size_t k = 0; k < count; ++k) moved[i][k] += step * signs[k];
        return loss(moved, weights);
      };
      const double difference = (shifted(kStep) - shifted(-kStep)) / (2 * kStep);
      const double limit =
          4 * gradientLimit() * std::sqrt(static_cast<double>(count)) * std::max(largest(gradients[i]), 1e-3);
      if (!(std::fabs(along - difference) <= limit))
        report(what, ": gradient of ", op_.inputs[i].name, " along a random direction is ", along, ", should be ",
               difference);
    }
  }

  const OpSpec& op_;
  const OpReference& reference_;
  const OpCase& example_;
  const Target& target_;
  const Storage& storage_;
  std::unique_ptr<Call> referenceCall_;
  std::vector<Doubles> referenceInputs_;
  CaseResult result_;
};

}  // namespace

CaseResult checkCase(const OpSpec& op, const OpReference& reference, const OpCase& example, int threads,
                     const Storage& storage) {
  const int before = threadCount();
  setThreadCount(threads);
  CaseResult result = checkCase(op, reference, example, Target{Stream::execute}, storage);
  setThreadCount(before);
  return result;
}

CaseResult checkCase(const OpSpec& op, const OpReference& reference, const OpCase& example, const Target& target,
                     const Storage& storage) {
  return Check(op, reference, example, target, storage).run();
}

}  // namespace hint::testing
