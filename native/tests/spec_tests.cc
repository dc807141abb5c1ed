#include <cmath>
#include <set>

#include "native/core/call.h"
#include "native/core/table.h"
#include "native/ops/common/reference.h"
#include "native/tests/case.h"
#include "native/tests/check.h"

namespace hint {
namespace {

/// A bound call on tensors without memory; absent inputs have no shape.
Call bound(const char* op, std::vector<std::optional<Tensor>> inputs,
           const std::vector<std::pair<std::string, Attribute>>& attributes = {}) {
  Call call(findOp(op));
  for (auto& input : inputs) {
    call.inputPresent.push_back(input.has_value());
    call.inputs.push_back(input.value_or(Tensor{}));
  }
  for (const AttributeSpec& attribute : call.spec->attributes) {
    call.attributes.push_back(attribute.defaultValue);
    for (const auto& [name, value] : attributes)
      if (name == attribute.name) call.attributes.back() = value;
  }
  call.bind();
  return call;
}

Tensor shaped(Shape shape, DType dtype = DType::f32) { return Tensor{nullptr, 0, dtype, std::move(shape)}; }

TEST("shapes that disagree are an error naming op, argument and both sizes") {
  const Error error = ERROR_OF("INVALID_SHAPE", bound("linear", {shaped({5, 16}), shaped({8, 17})}));
  CHECK_CONTAINS(error.what(), "linear(x [5, 16], weight [8, 17])");
  CHECK_CONTAINS(error.what(), "dIn is 16 and also 17");
}

TEST("a wrong number of dimensions is an error naming what is expected") {
  const Error error = ERROR_OF("INVALID_SHAPE", bound("linear", {shaped({16}), shaped({8, 16})}));
  CHECK_CONTAINS(error.what(), "x must be [rows dIn], not [16]");
}

TEST("a fixed dimension is checked") {
  const Error error = ERROR_OF("INVALID_SHAPE", bound("square_norm", {shaped({16}), shaped({2})}));
  CHECK_CONTAINS(error.what(), "total must be [1], not [2]");
}

TEST("a wrong dtype is an error naming both") {
  const Error error = ERROR_OF("INVALID_ARGUMENT", bound("embedding", {shaped({4}), shaped({9, 8})}));
  CHECK_CONTAINS(error.what(), "ids must be i32, not f32");
}

TEST("an op reads one storage type where its kernels multiply, and says which tensor is of another") {
  const Error error = ERROR_OF("INVALID_ARGUMENT", bound("linear", {shaped({5, 16}), shaped({8, 16}, DType::bf16)}));
  CHECK_CONTAINS(error.what(), "weight must be f32 like x, not bf16");
  CHECK_CONTAINS(ERROR_OF("INVALID_ARGUMENT", bound("scale", {shaped({5}, DType::i32)})).what(),
                 "x must be f32 or bf16, not i32");
}

TEST(
    "results have the storage type of what they are made of, or the one asked for; sums over layers and losses are "
    "f32") {
  const DType bf16 = DType::bf16;
  const Call linear =
      bound("linear", {shaped({5, 16}, bf16), shaped({8, 16}, bf16)}, {{"activation", std::string("gelu")}});
  CHECK_EQUAL(nameOf(linear.out(0).dtype), std::string("bf16"));
  CHECK_EQUAL(nameOf(linear.out(1).dtype), std::string("bf16"));
  const Call norm =
      bound("rms_norm", {shaped({5, 16}), shaped({5, 16}, bf16), shaped({16})}, {{"outputDType", std::string("bf16")}});
  CHECK_EQUAL(nameOf(norm.out(0).dtype), std::string("bf16"));
  CHECK_EQUAL(nameOf(norm.out(1).dtype), std::string("f32"));
  CHECK_EQUAL(nameOf(bound("sum", {shaped({5}, bf16)}).out(0).dtype), std::string("f32"));
  const Error error = ERROR_OF("INVALID_ARGUMENT", bound("rms_norm", {shaped({5, 16}), std::nullopt, shaped({16})},
                                                         {{"outputDType", std::string("i8")}}));
  CHECK_CONTAINS(error.what(), "outputDType must be f32 or bf16, not i8");
}

TEST("a gradient is stored as its tensor is; that of a bf16 parameter may be f32") {
  const auto gradients = [](DType ofX, DType ofWeight) {
    Call call = bound("linear", {shaped({5, 16}, DType::bf16), shaped({8, 16}, DType::bf16)});
    call.backward = true;
    const auto gradient = [](Shape shape, DType dtype) {
      Tensor tensor = shaped(std::move(shape), dtype);
      tensor.buffer = std::make_shared<Buffer>(testing::caseAllocator(), tensor.bytes());
      return tensor;
    };
    call.gradOutputs = {gradient({5, 8}, DType::bf16), Tensor{}};
    call.gradInputs = {gradient({5, 16}, ofX), gradient({8, 16}, ofWeight), Tensor{}};
    call.betas = {0.0f, 0.0f, 0.0f};
    call.checkGradients();
  };
  gradients(DType::bf16, DType::f32);
  gradients(DType::bf16, DType::bf16);
  CHECK_CONTAINS(ERROR_OF("INVALID_ARGUMENT", gradients(DType::f32, DType::f32)).what(),
                 "the gradient of x must be bf16 as it is, not f32");
}

TEST("a missing input is an error, a missing optional one is not") {
  const Error error = ERROR_OF("INVALID_ARGUMENT", bound("linear", {shaped({5, 16})}));
  CHECK_CONTAINS(error.what(), "linear: the input weight is missing");
  CHECK(!bound("rms_norm", {shaped({5, 16}), std::nullopt, shaped({16})}).hasOut(1));
  CHECK(bound("rms_norm", {shaped({5, 16}), shaped({5, 16}), shaped({16})}).hasOut(1));
}

TEST("an unknown op, dtype or word is an error that quotes it") {
  CHECK_CONTAINS(ERROR_OF("INVALID_ARGUMENT", findOp("conv2d")).what(), "conv2d");
  CHECK_CONTAINS(ERROR_OF("INVALID_ARGUMENT", dtypeFromName("f64")).what(), "\"f64\"");
  const Error error = ERROR_OF(
      "INVALID_ARGUMENT", bound("linear", {shaped({5, 16}), shaped({8, 16})}, {{"activation", std::string("swish")}}));
  CHECK_CONTAINS(error.what(), "\"swish\"");
}

TEST("ragged offsets must start at zero, not decrease and cover every row") {
  const auto mean = [](IntList offsets) {
    return bound("segment_mean", {shaped({6, 4})}, {{"offsets", std::move(offsets)}});
  };
  for (const IntList& offsets : {IntList{}, IntList{1, 6}, IntList{0, 5}, IntList{0, 7}, IntList{0, 4, 3, 6}})
    ERROR_OF("INVALID_SHAPE", mean(offsets));
  CHECK_EQUAL(toString(mean({0, 2, 6}).out(0).shape), "[2, 4]");
}

TEST("outputs take their shape and dtype from inputs and attributes") {
  CHECK_EQUAL(toString(bound("concat_rows", {shaped({3, 4}), shaped({2, 4})}).out(0).shape), "[5, 4]");
  CHECK_EQUAL(toString(bound("add", {shaped({2, 3, 4}), shaped({2, 3, 4})}).out(0).shape), "[2, 3, 4]");
  CHECK_EQUAL(nameOf(bound("copy", {shaped({3}, DType::i32)}).out(0).dtype), std::string("i32"));
  CHECK_EQUAL(nameOf(bound("cast", {shaped({3})}).out(0).dtype), std::string("bf16"));
}

TEST("a dropout rate outside [0, 1) or a seed that is no integer is refused when the op is enqueued") {
  for (double rate : {-0.1, 1.0, std::nan("")})
    ERROR_OF("INVALID_ARGUMENT", bound("dropout", {shaped({2, 4})}, {{"dropoutRate", rate}}));
  for (double seed : {-1.0, 0.5, 9007199254740992.0, std::nan("")})
    ERROR_OF("INVALID_ARGUMENT", bound("dropout", {shaped({2, 4})}, {{"dropoutSeed", seed}}));
}

TEST("every op has a reference with tests and timings, distinct names and a CPU kernel") {
  std::set<std::string> names;
  for (const OpSpec& op : opTable()) {
    CHECK(names.insert(op.name).second);
    CHECK(op.cpu.forward != nullptr);
    bool tested = false, timed = false;
    for (const OpCase& example : findReference(op.name).cases) (example.bench ? timed : tested) = true;
    if (!tested) testing::failCheck(__FILE__, __LINE__, std::string(op.name) + " has no test case");
    if (!timed) testing::failCheck(__FILE__, __LINE__, std::string(op.name) + " has no bench case");
    std::set<std::string> arguments;
    for (const auto* group : {&op.inputs, &op.outputs})
      for (const ArgSpec& argument : *group) CHECK(arguments.insert(argument.name).second);
  }
}

TEST("every op that can carry a gradient has a backward pass") {
  const auto differentiable = [](const std::vector<ArgSpec>& arguments) {
    for (const ArgSpec& argument : arguments)
      if (argument.flags & kDifferentiable) return true;
    return false;
  };
  for (const OpSpec& op : opTable()) {
    CHECK_EQUAL(differentiable(op.inputs), differentiable(op.outputs));
    CHECK_EQUAL(differentiable(op.inputs), op.cpu.backward != nullptr);
  }
}

void noKernel(Call&) {}

TEST("a CUDA library that lacks a kernel of the table is refused by the name of the op, and nothing of it is used") {
  const auto before = findOp("add").cuda.forward;
  const auto noForward = [](std::string_view op) { return op == "linear" ? Kernels{} : Kernels{noKernel, noKernel}; };
  CHECK_CONTAINS(ERROR_OF("INTERNAL", installCudaKernels(noForward)).what(), "no forward kernel of the op linear");
  const auto noBackward = [](std::string_view op) {
    return Kernels{noKernel, op == "segment_mean" ? nullptr : noKernel};
  };
  CHECK_CONTAINS(ERROR_OF("INTERNAL", installCudaKernels(noBackward)).what(),
                 "no backward kernel of the op segment_mean");
  CHECK(findOp("add").cuda.forward == before);
}

TEST("an op without CUDA kernels on purpose is not asked for them") {
  static std::set<std::string, std::less<>> asked;
  asked.clear();
  const auto lookup = [](std::string_view op) {
    asked.emplace(op);
    return op == "reorder_cache" ? Kernels{} : Kernels{noKernel, noKernel};
  };
  // The last op is refused, and the table must stay as it was.
  CHECK_CONTAINS(ERROR_OF("INTERNAL", installCudaKernels(lookup)).what(), "reorder_cache");
  CHECK_EQUAL(asked.size() + 2, opTable().size());
  for (const char* op : {"pack_weight", "packed_linear"}) CHECK(!asked.contains(op));
}

}  // namespace
}  // namespace hint
