#include "native/math/packed_matrix.h"
#include "native/ops/common/activation.h"
#include "native/ops/common/row_groups.h"
#include "native/ops/packed_linear/packed_linear.h"
#include "native/runtime/scratch.h"

namespace hint::packed_linear {

void forward(Call& call) {
  const RowGroups of(call);
  const int64_t dIn = call.dim("dIn"), dOut = call.dim("dOut");
  const Tensor& packed = call.in(kPacked);
  const auto bytes = static_cast<int64_t>(sizeOf(packed.dtype)) * call.dim("values");
  const auto* matrices = static_cast<const char*>(addressOf(packed));
  const Scratch biasRoom(call.has(kBias) ? dOut : 0);
  for (int64_t group = 0; group < of.groups; ++group) {
    const int64_t begin = of.begin(group), block = of.block(group);
    Epilogue epilogue;
    epilogue.activation = activationOf(call);
    if (call.has(kBias)) epilogue.bias = FloatReader(call.in(kBias)).read(block * dOut, dOut, biasRoom);
    if (call.has(kResidual)) epilogue.residual = FloatReader(call.in(kResidual)).from(begin * dOut);
    PackedMatrix matrix{packed.dtype, matrices + block * bytes};
    if (call.has(kScale)) matrix.scale = call.f(kScale) + block * dOut;
    if (call.has(kColumnSum)) matrix.columnSum = call.f(kColumnSum) + block * dOut;
    if (call.has(kRowFactor)) matrix.rowFactor = call.f(kRowFactor) + block * dIn;
    packedProduct(of.end(group) - begin, dIn, dOut, FloatReader(call.in(kX)).from(begin * dIn), matrix, epilogue,
                  FloatWriter(call.out(kY)).from(begin * dOut));
  }
}

}  // namespace hint::packed_linear
