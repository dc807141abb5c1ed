#include "native/ops/common/reference.h"

#include <algorithm>
#include <cmath>

#include "native/ops/adafactor/adafactor.h"
#include "native/ops/common/rounding.h"

namespace hint {
namespace {

double meanSquare(const Doubles& values) {
  double sum = 0;
  for (double value : values) sum += value * value;
  return sum / static_cast<double>(values.size());
}

void forward(ReferenceCall& r) {
  using namespace adafactor;
  const auto n = static_cast<size_t>(r.call.dim("n"));
  if (n == 0) return;
  const auto decay = static_cast<float>(r.call.number("decay"));
  const double mixing = 1.0f - decay;
  Doubles g = r.inputs[kGradient], square(n), y(n);
  for (size_t i = 0; i < n; ++i) {
    g[i] *= r.call.number("gradientScale");
    square[i] = g[i] * g[i] + r.call.number("epsilon1");
  }
  if (r.has(kFullMoment)) {
    for (size_t i = 0; i < n; ++i) {
      double& moment = r.in(kFullMoment)[i];
      moment = decay * moment + mixing * square[i];
      y[i] = g[i] / std::sqrt(moment);
    }
  } else {
    Doubles &row = r.inputs[kRowMoment], &column = r.inputs[kColumnMoment];
    const size_t rows = row.size(), columns = column.size();
    for (double& moment : row) moment *= decay;
    for (double& moment : column) moment *= decay;
    for (size_t i = 0; i < n; ++i) {
      row[i / columns] += mixing * square[i] / static_cast<double>(columns);
      column[i % columns] += mixing * square[i] / static_cast<double>(rows);
    }
    double mean = 0;
    for (double moment : row) mean += moment / static_cast<double>(rows);
    for (size_t i = 0; i < n; ++i) y[i] = g[i] / std::sqrt(row[i / columns] / mean) / std::sqrt(column[i % columns]);
  }
  double step = r.call.number("learningRate");
  if (r.call.integer("multiplyByParameterScale"))
    step *= std::max(r.call.number("epsilon2"), std::sqrt(meanSquare(r.inputs[kParameter])));
  const double threshold = r.call.number("clippingThreshold");
  if (threshold > 0) step /= std::max(1.0, std::sqrt(meanSquare(y)) / threshold);
  for (size_t i = 0; i < n; ++i) r.in(kParameter)[i] -= step * y[i];
  roundReference(r.call, r.inputs[kParameter]);
}

}  // namespace

OpReference reference_adafactor() {
  OpReference reference;
  reference.forward = forward;
  const auto none = std::nullopt;
  const auto zeros = [](Shape shape) { return CaseInput{std::move(shape), {}, 0.0}; };
  const auto moment = [](Shape shape) { return CaseInput{std::move(shape), {}, 0.1, 1.0}; };
  reference.cases = {
      {"factored, first step",
       {{{{130, 133}}}, {{{130, 133}}}, zeros({130}), zeros({133}), none},
       {{"learningRate", 0.01}, {"decay", 0.0}}},
      {"factored, late step, scaled gradient",
       {{{{257, 128}}}, {{{257, 128}}}, moment({257}), moment({128}), none},
       {{"learningRate", 0.5}, {"decay", 0.99}, {"gradientScale", 0.25}}},
      {"factored, zero gradients stay zero updates",
       {{{{128, 128}}}, zeros({128, 128}), zeros({128}), zeros({128}), none},
       {{"learningRate", 0.5}, {"decay", 0.0}}},
      {"full moments of a vector",
       {{{{37}}}, {{{37}}}, none, none, moment({37})},
       {{"learningRate", 0.01}, {"decay", 0.9}, {"multiplyByParameterScale", int64_t{0}}}},
      {"full moments of a matrix, no clipping",
       {{{{7, 5}}}, {{{7, 5}}}, none, none, zeros({7, 5})},
       {{"learningRate", 0.01}, {"decay", 0.0}, {"clippingThreshold", 0.0}}},
      {"a wide matrix whose columns come in eights, no clipping",
       {{{{40, 600}}}, {{{40, 600}}}, moment({40}), moment({600}), none},
       {{"learningRate", 0.1}, {"decay", 0.9}, {"clippingThreshold", 0.0}}},
      {"a wide matrix whose columns do not, not scaled",
       {{{{37, 517}}}, {{{37, 517}}}, moment({37}), moment({517}), none},
       {{"learningRate", 0.1}, {"decay", 0.9}, {"multiplyByParameterScale", int64_t{0}}}},
      {"a matrix of a single row",
       {{{{1, 1100}}}, {{{1, 1100}}}, moment({1}), moment({1100}), none},
       {{"learningRate", 0.1}, {"decay", 0.9}}},
      {"a matrix of a single column",
       {{{{2100, 1}}}, {{{2100, 1}}}, moment({2100}), moment({1}), none},
       {{"learningRate", 0.1}, {"decay", 0.9}}},
      {"a long matrix of a single column",
       {{{{17001, 1}}}, {{{17001, 1}}}, moment({17001}), moment({1}), none},
       {{"learningRate", 0.1}, {"decay", 0.9}}},
      {"a matrix of many short rows",
       {{{{30001, 8}}}, {{{30001, 8}}}, moment({30001}), moment({8}), none},
       {{"learningRate", 0.1}, {"decay", 0.9}}},
      {"full moments of a large tensor",
       {{{{3, 71, 101}}}, {{{3, 71, 101}}}, none, none, moment({3, 71, 101})},
       {{"learningRate", 0.1}, {"decay", 0.9}, {"gradientScale", 0.25}}},
      {"parameter near zero is scaled by epsilon2",
       {zeros({9}), {{{9}}}, none, none, moment({9})},
       {{"learningRate", 0.01}, {"decay", 0.5}}},
      {"a vector rounded to the nearest",
       {{{{37}}}, {{{37}}}, none, none, moment({37})},
       {{"learningRate", 0.1}, {"decay", 0.9}, {"rounding", std::string("nearest")}}},
      {"a matrix rounded by chance",
       {{{{13, 11}}}, {{{13, 11}}}, moment({13}), moment({11}), none},
       {{"learningRate", 0.1}, {"decay", 0.9}, {"rounding", std::string("stochastic")}, {"roundingSeed", 3.0}}},
      // The gradient is 0, so that the result shows the draw of every element.
      {"draws do not depend on how work is split",
       {{{{131, 251}}}, zeros({131, 251}), zeros({131}), zeros({251}), none},
       {{"learningRate", 0.1},
        {"decay", 0.9},
        {"rounding", std::string("stochastic")},
        {"roundingSeed", 9007199254740991.0},
        {"roundingStep", int64_t{4294967295}},
        {"roundingStream", int64_t{4294967295}}}},
      {"draws of a vector do not depend on how work is split",
       {{{{40007}}}, zeros({40007}), none, none, zeros({40007})},
       {{"learningRate", 0.1}, {"decay", 0.9}, {"rounding", std::string("stochastic")}, {"roundingSeed", 1.0}}},
      {"another rounding is refused",
       {{{{4}}}, {{{4}}}, none, none, moment({4})},
       {{"learningRate", 0.01}, {"decay", 0.5}, {"rounding", std::string("down")}},
       false,
       "INVALID_ARGUMENT"},
      {"a rounding seed that is no integer is refused",
       {{{{4}}}, {{{4}}}, none, none, moment({4})},
       {{"learningRate", 0.01}, {"decay", 0.5}, {"roundingSeed", 0.5}},
       false,
       "INVALID_ARGUMENT"},
      {"no values", {zeros({0}), zeros({0}), none, none, zeros({0})}, {{"learningRate", 0.01}, {"decay", 0.5}}},
      {"moments of both kinds are refused",
       {{{{4, 5}}}, {{{4, 5}}}, moment({4}), moment({5}), moment({4, 5})},
       {{"learningRate", 0.01}, {"decay", 0.5}},
       false,
       "INVALID_ARGUMENT"},
      {"moments of the transposed parameter are refused",
       {{{{4, 5}}}, {{{4, 5}}}, moment({5}), moment({4}), none},
       {{"learningRate", 0.01}, {"decay", 0.5}},
       false,
       "INVALID_SHAPE"},
      {"a decay above one is refused",
       {{{{4}}}, {{{4}}}, none, none, moment({4})},
       {{"learningRate", 0.01}, {"decay", 1.5}},
       false,
       "INVALID_ARGUMENT"},
      {"T5-base feed-forward",
       {{{{2048, 768}}}, {{{2048, 768}}}, moment({2048}), moment({768}), none},
       {{"learningRate", 0.01}, {"decay", 0.99}},
       true},
      {"T5-base embedding",
       {{{{32128, 768}}}, {{{32128, 768}}}, moment({32128}), moment({768}), none},
       {{"learningRate", 0.01}, {"decay", 0.99}},
       true},
  };
  return reference;
}

}  // namespace hint
