#include "native/core/call.h"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <unordered_map>

#include "native/core/error.h"

namespace hint {
namespace {

struct Side {
  std::string name;   ///< empty: `size` is the side
  int64_t size = -1;  ///< negative: a named dimension
};

struct ShapePattern {
  std::vector<Side> sides;
  bool any = false;  ///< every shape; the element count is the only side's dimension
};

ShapePattern parse(std::string_view text) {
  ShapePattern pattern;
  std::istringstream stream{std::string(text)};
  for (std::string word; stream >> word;) {
    const bool number = word.find_first_not_of("0123456789") == std::string::npos;
    pattern.sides.push_back(number ? Side{"", std::stoll(word)} : Side{word});
  }
  pattern.any = pattern.sides.size() == 1 && pattern.sides[0].name[0] == '*';
  if (pattern.any) pattern.sides[0].name.erase(0, 1);
  return pattern;
}

/// The parsed form of a declared shape, which is a constant and so found by its address. Each thread parses each of the
/// few declarations once, because every enqueued op needs it.
const ShapePattern& patternOf(const char* shape) {
  static thread_local std::unordered_map<const char*, ShapePattern> patterns;
  const auto found = patterns.find(shape);
  return found != patterns.end() ? found->second : patterns.emplace(shape, parse(shape)).first->second;
}

}  // namespace

float* Call::giZeroed(int i) const {
  float* gradient = gi(i);
  if (gradient && beta(i) == 0.0f) std::fill_n(gradient, gradInputs[static_cast<size_t>(i)].size(), 0.0f);
  return gradient;
}

int64_t Call::dim(std::string_view name) const {
  for (const auto& [key, size] : dimensions)
    if (key == name) return size;
  fail("INTERNAL", "The op ", spec->name, " has no dimension named ", name, ".");
}

void Call::setDim(std::string_view name, int64_t size) {
  for (auto& [key, bound] : dimensions)
    if (key == name) {
      if (bound != size)
        fail("INVALID_SHAPE", describe(), ": dimension ", name, " is ", bound, " and also ", size, ".");
      return;
    }
  dimensions.emplace_back(std::string(name), size);
}

const Attribute& Call::attribute(std::string_view name) const {
  for (size_t i = 0; i < spec->attributes.size(); ++i)
    if (name == spec->attributes[i].name) return attributes[i];
  fail("INTERNAL", "The op ", spec->name, " has no attribute named ", name, ".");
}

Dropout Call::dropout() const {
  const double rate = number("dropoutRate"), seed = number("dropoutSeed");
  if (!(rate >= 0 && static_cast<float>(rate) < 1))
    fail("INVALID_ARGUMENT", describe(), ": dropoutRate is ", rate, ", but must be at least 0 and below 1.");
  if (!(seed >= 0 && seed < 9007199254740992.0 && seed == std::floor(seed)))
    fail("INVALID_ARGUMENT", describe(), ": dropoutSeed is ", seed, ", but must be an integer from 0 to 2^53 - 1.");
  Dropout dropout;
  dropout.rate = static_cast<float>(rate);
  dropout.seed = static_cast<uint64_t>(seed);
  dropout.site = static_cast<uint32_t>(integer("dropoutSite"));
  return dropout;
}

void Call::checkDType(const ArgSpec& arg, const Tensor& tensor) const {
  const Elements& elements = arg.elements;
  const auto refuse = [&](const auto&... expected) {
    fail("INVALID_ARGUMENT", describe(), ": ", arg.name, " must be ", expected..., ", not ", nameOf(tensor.dtype), ".");
  };
  if (elements.kind == Elements::Kind::exactly && tensor.dtype != elements.dtype) refuse(nameOf(elements.dtype));
  if (elements.kind == Elements::Kind::floating && !isFloating(tensor.dtype)) refuse("f32 or bf16");
  if (elements.kind == Elements::Kind::like && tensor.dtype != dtypeOfInput(elements.name))
    refuse(nameOf(dtypeOfInput(elements.name)), " like ", elements.name);
}

std::optional<DType> Call::outputDType(const ArgSpec& output) const {
  const Elements& elements = output.elements;
  if (elements.kind == Elements::Kind::exactly) return elements.dtype;
  if (elements.kind == Elements::Kind::like) return dtypeOfInput(elements.name);
  if (elements.kind != Elements::Kind::chosen) return std::nullopt;
  const std::string& chosen = word(elements.name);
  if (chosen.empty() && elements.otherwise) return dtypeOfInput(elements.otherwise);
  const DType dtype = dtypeFromName(chosen);
  if (!isFloating(dtype))
    fail("INVALID_ARGUMENT", describe(), ": ", elements.name, " must be f32 or bf16, not ", chosen, ".");
  return dtype;
}

void Call::checkGradients() const {
  const auto check = [&](const Tensor& gradient, const Tensor& of, const ArgSpec& arg, bool isPresent, bool mayBeWide) {
    if (!gradient) return;
    if (!isPresent || !(arg.flags & kDifferentiable))
      fail("INVALID_ARGUMENT", describe(), ": ", arg.name, isPresent ? " has no gradient." : " is absent.",
           " Leave its gradient out.");
    if (gradient.size() != of.size())
      fail("INVALID_SHAPE", describe(), ": the gradient of ", arg.name, " has shape ", toString(gradient.shape),
           ", but ", arg.name, " has ", toString(of.shape), ".");
    if (!isFloating(of.dtype))
      fail("INVALID_ARGUMENT", describe(), ": ", arg.name, " is ", nameOf(of.dtype),
           ", which has no gradient. Leave it out.");
    if (gradient.dtype != of.dtype && !(mayBeWide && gradient.dtype == DType::f32))
      fail("INVALID_ARGUMENT", describe(), ": the gradient of ", arg.name, " must be ", nameOf(of.dtype), " as it is",
           mayBeWide ? ", or f32" : "", ", not ", nameOf(gradient.dtype), ".");
  };
  bool isAny = false;
  for (size_t i = 0; i < gradOutputs.size(); ++i) {
    check(gradOutputs[i], outputs[i], spec->outputs[i], outputPresent[i], false);
    isAny |= static_cast<bool>(gradOutputs[i]);
  }
  if (!isAny)
    fail("INVALID_ARGUMENT", describe(),
         ": no gradient of an output is given; there is nothing to walk backwards from.");
  for (size_t i = 0; i < gradInputs.size(); ++i) {
    const ArgSpec& arg = spec->inputs[i];
    check(gradInputs[i], inputs[i], arg, inputPresent[i], arg.flags & kWideGradient);
    if (!gradInputs[i]) continue;
    if (!std::isfinite(betas[i]))
      fail("INVALID_ARGUMENT", describe(), ": the beta of ", arg.name, " is ", betas[i],
           "; give 0 to overwrite its gradient or 1 to add to it.");
    for (const auto* read : {&inputs, &outputs, &gradOutputs})
      for (const Tensor& tensor : *read)
        if (overlap(gradInputs[i], tensor))
          fail("INVALID_ARGUMENT", describe(), ": the gradient of ", arg.name,
               " lies in memory that the backward pass reads; give it memory of its own.");
  }
}

void Call::checkAliases() const {
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!(spec->inputs[i].flags & kMutable)) continue;
    for (size_t j = 0; j < inputs.size(); ++j)
      if (i != j && overlap(inputs[i], inputs[j]))
        fail("INVALID_ARGUMENT", describe(), ": ", spec->inputs[i].name, " is updated in place and shares memory with ",
             spec->inputs[j].name, "; pass a copy of one of them.");
  }
}

void Call::bindTensor(const ArgSpec& arg, const Tensor& tensor) {
  checkDType(arg, tensor);
  const auto& [sides, any] = patternOf(arg.shape);
  if (any) {
    setDim(sides[0].name, tensor.size());
    return;
  }
  const auto refuse = [&] {
    fail("INVALID_SHAPE", describe(), ": ", arg.name, " must be [", arg.shape, "], not ", toString(tensor.shape), ".");
  };
  if (sides.size() != tensor.shape.size()) refuse();
  for (size_t i = 0; i < sides.size(); ++i) {
    if (sides[i].size < 0)
      setDim(sides[i].name, tensor.shape[i]);
    else if (sides[i].size != tensor.shape[i])
      refuse();
  }
}

const Tensor* Call::inputLike(const ArgSpec& output) const {
  for (size_t i = 0; i < spec->inputs.size(); ++i)
    if (inputPresent[i] && std::string_view(spec->inputs[i].shape) == output.shape) return &inputs[i];
  return nullptr;
}

void Call::bind() {
  attributes.resize(spec->attributes.size());
  inputs.resize(spec->inputs.size());
  inputPresent.resize(spec->inputs.size(), false);
  for (size_t i = 0; i < spec->inputs.size(); ++i) {
    const ArgSpec& arg = spec->inputs[i];
    if (inputPresent[i])
      bindTensor(arg, inputs[i]);
    else if (!(arg.flags & kOptional))
      fail("INVALID_ARGUMENT", spec->name, ": the input ", arg.name, " is missing.");
  }
  checkAliases();
  outputs.resize(spec->outputs.size());
  for (size_t i = 0; i < spec->outputs.size(); ++i)
    outputs[i].dtype = outputDType(spec->outputs[i]).value_or(outputs[i].dtype);
  if (spec->resolve) spec->resolve(*this);
  outputPresent.assign(spec->outputs.size(), false);
  for (size_t i = 0; i < spec->outputs.size(); ++i) {
    const ArgSpec& arg = spec->outputs[i];
    if (arg.present && !arg.present(*this)) continue;
    outputPresent[i] = true;
    Tensor& output = outputs[i];
    output.shape.clear();
    const auto& [sides, any] = patternOf(arg.shape);
    if (any) {
      if (const Tensor* like = inputLike(arg)) output.shape = like->shape;
      continue;
    }
    for (const auto& [name, size] : sides) output.shape.push_back(size < 0 ? dim(name) : size);
    elementCount(output.shape);
  }
}

double Call::flops() const {
  if (!spec->flops) return 0;
  if (!backward) return spec->flops(*this);
  return spec->backwardFlops ? spec->backwardFlops(*this) : 2 * spec->flops(*this);
}

double Call::usedBytes(const ArgSpec& arg, const Tensor& tensor) const {
  if (!tensor) return 0;
  const auto& [sides, any] = patternOf(arg.shape);
  const bool hasSlots =
      !any && std::any_of(sides.begin(), sides.end(), [](const auto& side) { return side.name == "slots"; });
  return static_cast<double>(tensor.bytes()) / static_cast<double>(hasSlots ? std::max<int64_t>(1, dim("slots")) : 1);
}

double Call::bytes() const {
  double total = 0;
  for (size_t i = 0; i < inputs.size(); ++i) total += usedBytes(spec->inputs[i], inputs[i]);
  for (size_t i = 0; i < outputs.size(); ++i) total += usedBytes(spec->outputs[i], outputs[i]);
  for (size_t i = 0; i < gradOutputs.size(); ++i) total += usedBytes(spec->outputs[i], gradOutputs[i]);
  for (size_t i = 0; i < gradInputs.size(); ++i)
    total += usedBytes(spec->inputs[i], gradInputs[i]) * (betas[i] != 0.0f ? 2 : 1);
  return total;
}

std::string Call::describe() const {
  std::string text = std::string(spec->name) + (backward ? " backward(" : "(");
  bool first = true;
  for (size_t i = 0; i < spec->inputs.size() && i < inputs.size(); ++i) {
    if (!inputPresent[i]) continue;
    text += (first ? "" : ", ") + std::string(spec->inputs[i].name) + " " + toString(inputs[i].shape);
    first = false;
  }
  return text + ")";
}

void checkOffsets(const Call& call, std::string_view attribute, int64_t rows) {
  const IntList& offsets = call.list(attribute);
  if (offsets.empty() || offsets.front() != 0 || offsets.back() != rows)
    fail("INVALID_SHAPE", call.describe(), ": ", attribute, " must start with 0 and end with ", rows, " rows; it has ",
         offsets.size(), " entries", offsets.empty() ? "." : " ending with " + std::to_string(offsets.back()) + ".");
  for (size_t i = 1; i < offsets.size(); ++i)
    if (offsets[i] < offsets[i - 1])
      fail("INVALID_SHAPE", call.describe(), ": ", attribute, " decreases from ", offsets[i - 1], " to ", offsets[i],
           " at entry ", i, ".");
}

void checkIndexable(const Call& call, std::string_view dimension) {
  if (call.dim(dimension) > INT32_MAX)
    fail("INVALID_SHAPE", call.describe(), ": ", dimension, " is ", call.dim(dimension),
         ", but indices of 32 bits end at ", INT32_MAX, "; split the tensor.");
}

std::vector<AttributeSpec> withDropout(std::vector<AttributeSpec> attributes) {
  attributes.push_back({"dropoutRate", 0.0});
  attributes.push_back({"dropoutSeed", 0.0});
  attributes.push_back({"dropoutSite", int64_t{0}});
  return attributes;
}

}  // namespace hint
