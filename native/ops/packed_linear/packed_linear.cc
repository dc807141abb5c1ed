#include "native/ops/packed_linear/packed_linear.h"

#include "native/core/error.h"
#include "native/math/packed_matrix.h"
#include "native/ops/common/activation.h"
#include "native/ops/common/row_groups.h"

namespace hint {
namespace {

void resolve(Call& call) {
  activationOf(call);
  const int64_t dOut = call.integer("dOut");
  if (dOut < 0) fail("INVALID_ARGUMENT", call.describe(), ": dOut is ", dOut, "; give the width of the result.");
  call.setDim("dOut", dOut);
  const DType dtype = call.in(packed_linear::kPacked).dtype;
  if (dtype == DType::i32)
    fail("INVALID_ARGUMENT", call.describe(), ": packed must be f32, bf16 or i8; pass the result of pack_weight.");
  const int64_t values = packedSize(call.dim("dIn"), dOut, dtype);
  if (call.dim("values") != values)
    fail("INVALID_SHAPE", call.describe(), ": packed holds ", call.dim("values"), " values a matrix, but one of [",
         call.dim("dIn"), ", ", dOut, "] takes ", values, "; pass the result of pack_weight.");
  const bool quantized = dtype == DType::i8;
  for (const int part : {packed_linear::kScale, packed_linear::kColumnSum, packed_linear::kRowFactor})
    if (call.has(part) != quantized)
      fail("INVALID_ARGUMENT", call.describe(),
           ": scale, columnSum and rowFactor belong to weights of dtype i8, and to those only.");
  checkRowGroups(call, "packed");
}

}  // namespace

OpSpec declare_packed_linear() {
  using namespace packed_linear;
  OpSpec op;
  op.name = "packed_linear";
  op.summary = "y = residual + activation(x packed[group, slot] + bias[group, slot])";
  op.inputs = {{"x", "rows dIn", kRequired, kFloating},
               {"packed", "groups slots values", kRequired, kAnyDType},
               {"scale", "groups slots dOut", kOptional},
               {"columnSum", "groups slots dOut", kOptional},
               {"bias", "groups slots dOut", kOptional, kFloating},
               {"residual", "rows dOut", kOptional, kFloating},
               {"rowFactor", "groups slots dIn", kOptional}};
  op.outputs = {{"y", "rows dOut", kRequired, chosenBy("outputDType", "x")}};
  op.attributes = {{"dOut", int64_t{0}, true},
                   {"rowOffsets", IntList{}},
                   {"slot", int64_t{0}},
                   {"activation", std::string("none")},
                   {"outputDType", std::string()}};
  op.cpu = {forward, nullptr, ReadsBf16::always};
  op.resolve = resolve;
  op.flops = [](const Call& call) { return 2.0 * call.dim("rows") * call.dim("dIn") * call.dim("dOut"); };
  // Each group reads one matrix, however many slots there are.
  op.traffic = [](const Call& call) {
    const auto matrix = static_cast<double>(call.dim("values") * static_cast<int64_t>(sizeOf(call.in(kPacked).dtype)));
    double rows = static_cast<double>(call.in(kX).bytes() + call.out(kY).bytes());
    if (call.has(kResidual)) rows += static_cast<double>(call.in(kResidual).bytes());
    return static_cast<double>(call.dim("groups")) * matrix + rows;
  };
  return op;
}

}  // namespace hint
