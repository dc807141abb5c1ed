#include "native/ops/activation.h"
#include "native/ops/packed_linear/packed_linear.h"
#include "native/runtime/packed_matrix.h"

namespace hint::packed_linear {

void forward(Call& call) {
  const int64_t rows = call.dim("rows"), dIn = call.dim("dIn"), dOut = call.dim("dOut");
  const int64_t groups = call.dim("groups"), slots = call.dim("slots"), slot = call.integer("slot");
  const IntList& offsets = call.list("rowOffsets");
  const Tensor& packed = call.in(kPacked);
  const auto bytes = static_cast<int64_t>(sizeOf(packed.dtype)) * call.dim("values");
  const char* matrices =
      static_cast<const char*>(packed.buffer->data()) + packed.offset * static_cast<int64_t>(sizeOf(packed.dtype));
  for (int64_t group = 0; group < groups; ++group) {
    const int64_t begin = offsets.empty() ? 0 : offsets[static_cast<size_t>(group)];
    const int64_t end = offsets.empty() ? rows : offsets[static_cast<size_t>(group) + 1];
    const int64_t block = group * slots + slot;
    Epilogue epilogue;
    epilogue.activation = activationOf(call);
    if (call.has(kBias)) epilogue.bias = call.f(kBias) + block * dOut;
    if (call.has(kResidual)) epilogue.residual = call.f(kResidual) + begin * dOut;
    PackedMatrix matrix{packed.dtype, matrices + block * bytes};
    if (call.has(kScale)) matrix.scale = call.f(kScale) + block * dOut;
    if (call.has(kColumnSum)) matrix.columnSum = call.f(kColumnSum) + block * dOut;
    packedProduct(end - begin, dIn, dOut, call.f(kX) + begin * dIn, matrix, epilogue, call.o(kY) + begin * dOut);
  }
}

}  // namespace hint::packed_linear
