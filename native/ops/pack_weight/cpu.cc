#include "native/ops/pack_weight/pack_weight.h"
#include "native/runtime/packed_matrix.h"

namespace hint::pack_weight {

void forward(Call& call) {
  const int64_t rows = call.dim("rows"), columns = call.dim("columns"), dOut = call.dim("dOut");
  const bool transposed = call.integer("transposed") != 0;
  const int64_t dIn = transposed ? columns : rows;
  const DType wanted = dtypeFromName(call.word("dtype"));
  const Tensor &packed = call.out(kPacked), &weight = call.in(kWeight);
  const auto bytes = static_cast<int64_t>(sizeOf(packed.dtype)) * call.dim("values");
  const auto matrixBytes = static_cast<int64_t>(sizeOf(weight.dtype)) * rows * columns;
  auto* to = static_cast<char*>(addressOf(packed));
  const auto* from = static_cast<const char*>(addressOf(weight));
  float *scale = call.o(kScale), *columnSum = call.o(kColumnSum);
  for (int64_t i = 0; i < call.dim("groups") * call.dim("slots"); ++i)
    packMatrix(dIn, dOut, transposed, weight.dtype, from + i * matrixBytes, wanted, to + i * bytes,
               scale ? scale + i * dOut : nullptr, columnSum ? columnSum + i * dOut : nullptr);
}

}  // namespace hint::pack_weight
