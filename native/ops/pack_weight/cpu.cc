#include "native/ops/pack_weight/pack_weight.h"
#include "native/runtime/packed_matrix.h"

namespace hint::pack_weight {

void forward(Call& call) {
  const int64_t rows = call.dim("rows"), columns = call.dim("columns"), floats = call.dim("floats");
  const bool transposed = call.integer("transposed") != 0;
  const int64_t dIn = transposed ? columns : rows, dOut = transposed ? rows : columns;
  for (int64_t i = 0; i < call.dim("groups") * call.dim("slots"); ++i)
    packMatrix(dIn, dOut, transposed, call.f(kWeight) + i * rows * columns, call.o(kPacked) + i * floats);
}

}  // namespace hint::pack_weight
