// Calls of every op with any shapes, dtypes and attributes must be bound or refused with an Error, and so must their
// gradients. Only the declarations of ops are linked, not their kernels.
#include <algorithm>
#include <exception>

#include "native/core/call.h"
#include "native/core/error.h"
#include "native/core/table.h"
#include "native/math/packed_matrix.h"
#include "native/runtime/allocator.h"
#include "native/runtime/parallel.h"
#include "native/tests/fuzz/input.h"

namespace hint {

// Stands in for the function of parallel.h: OpenMP is not linked.
int threadCount() { return 1; }

// Stands in for packed_matrix.h: no kernel is linked.
DType packedDType(DType wanted) { return wanted; }
int64_t packedSize(int64_t k, int64_t n, DType) { return elementCount({k, n}); }

namespace {

using fuzz::Input;

const std::shared_ptr<Allocator>& allocator() {
  static const auto& shared = *new std::shared_ptr<Allocator>(std::make_shared<Allocator>(hostMemory()));
  return shared;
}

Tensor tensorOf(Input& input) {
  static constexpr DType kDTypes[] = {DType::f32, DType::bf16, DType::i32, DType::i8};
  Tensor tensor;
  tensor.dtype = kDTypes[input.byte() % 4];
  for (int rank = input.byte() % 5; rank > 0; --rank) tensor.shape.push_back(input.integer());
  // As in the binding, the size is checked before the buffer is made; a buffer takes memory only when it is written.
  tensor.buffer = std::make_shared<Buffer>(allocator(), tensor.bytes());
  return tensor;
}

Attribute attributeOf(Input& input, const Attribute& like) {
  if (std::holds_alternative<int64_t>(like)) return input.integer();
  if (std::holds_alternative<double>(like)) return static_cast<double>(input.integer()) / (1 + input.byte() % 8);
  if (std::holds_alternative<std::string>(like)) return input.word();
  IntList list;
  for (int count = input.byte() % 6; count > 0; --count) list.push_back(static_cast<int32_t>(input.integer()));
  return list;
}

void bindOne(Input& input) {
  const auto& table = opTable();
  const OpSpec& op = table[input.byte() % table.size()];
  Call call(op);
  for (const ArgSpec& argument : op.inputs) {
    const bool isPresent = !(argument.flags & kOptional) || input.byte() % 2;
    call.inputs.push_back(isPresent ? tensorOf(input) : Tensor{});
    call.inputPresent.push_back(isPresent);
  }
  for (const AttributeSpec& attribute : op.attributes)
    call.attributes.push_back(input.byte() % 3 ? attributeOf(input, attribute.defaultValue) : attribute.defaultValue);
  call.bind();
  call.flops();
  call.bytes();
  call.describe();
  for (const Tensor& output : call.outputs) elementCount(output.shape);
  call.backward = true;
  for (const Tensor& output : call.outputs) {
    Tensor gradient = output;
    gradient.buffer = input.byte() % 2 ? std::make_shared<Buffer>(allocator(), gradient.bytes()) : nullptr;
    call.gradOutputs.push_back(gradient);
  }
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    call.gradInputs.push_back(input.byte() % 2 ? tensorOf(input) : Tensor{});
    call.betas.push_back(static_cast<float>(input.byte() % 2));
  }
  call.checkGradients();
}

}  // namespace
}  // namespace hint

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  hint::fuzz::Input input(data, size);
  try {
    hint::bindOne(input);
  } catch (const hint::Error& error) {
    if (error.code().empty() || error.what()[0] == '\0') std::terminate();
  }
  return 0;
}
