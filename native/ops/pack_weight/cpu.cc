#include "native/core/error.h"
#include "native/math/packed_matrix.h"
#include "native/ops/pack_weight/pack_weight.h"

namespace hint::pack_weight {

void forward(Call& call) {
  const int64_t rows = call.dim("rows"), columns = call.dim("columns"), dOut = call.dim("dOut");
  const bool transposed = call.integer("transposed") != 0;
  const Tensor& weight = call.in(kWeight);
  const PlainMatrices matrices{call.dim("groups") * call.dim("slots"),
                               transposed ? columns : rows,
                               dOut,
                               transposed,
                               weight.dtype,
                               addressOf(weight)};
  if (!packMatrices(matrices, dtypeFromName(call.word("dtype")), call.integer("finite") != 0,
                    addressOf(call.out(kPacked)), call.o(kScale), call.o(kColumnSum), call.o(kRowFactor)))
    fail("NUMERIC", call.describe(),
         ": weight holds a value that is no finite number; what it was read from or made by is damaged.");
}

}  // namespace hint::pack_weight
