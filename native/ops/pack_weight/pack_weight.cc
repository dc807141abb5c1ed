#include "native/ops/pack_weight/pack_weight.h"

#include "native/core/error.h"
#include "native/math/packed_matrix.h"

namespace hint {
namespace {

bool isQuantized(const Call& call) { return packedDType(dtypeFromName(call.word("dtype"))) == DType::i8; }

void resolve(Call& call) {
  const DType wanted = dtypeFromName(call.word("dtype"));
  if (wanted == DType::i32)
    fail("INVALID_ARGUMENT", call.describe(), ": weights cannot be packed as i32; choose f32, bf16 or i8.");
  const DType given = call.in(pack_weight::kWeight).dtype;
  if (given != DType::f32 && given != DType::bf16)
    fail("INVALID_ARGUMENT", call.describe(), ": weight must be f32 or bf16, not ", nameOf(given), ".");
  const bool transposed = call.integer("transposed") != 0;
  const int64_t rows = call.dim("rows"), columns = call.dim("columns");
  call.setDim("dOut", transposed ? rows : columns);
  call.setDim("dIn", transposed ? columns : rows);
  const DType held = packedDType(wanted);
  call.setOutputDType(pack_weight::kPacked, held);
  call.setDim("values", packedSize(transposed ? columns : rows, transposed ? rows : columns, held));
}

}  // namespace

OpSpec declare_pack_weight() {
  using namespace pack_weight;
  OpSpec op;
  op.name = "pack_weight";
  op.summary = "the weights of packed_linear, in the machine's order, as f32, bf16 or i8";
  op.inputs = {{"weight", "groups slots rows columns", kRequired, kAnyDType}};
  op.outputs = {{"packed", "groups slots values", kRequired, kAnyDType},
                {"scale", "groups slots dOut", kRequired, DType::f32, isQuantized},
                {"columnSum", "groups slots dOut", kRequired, DType::f32, isQuantized},
                {"rowFactor", "groups slots dIn", kRequired, DType::f32, isQuantized}};
  op.attributes = {{"transposed", int64_t{1}}, {"dtype", std::string("f32")}, {"finite", int64_t{0}}};
  op.cpu = {forward, nullptr, ReadsBf16::always};
  op.resolve = resolve;
  return op;
}

}  // namespace hint
