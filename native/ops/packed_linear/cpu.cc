#include "native/ops/activation.h"
#include "native/ops/packed_linear/packed_linear.h"
#include "native/runtime/packed_matrix.h"

namespace hint::packed_linear {

void forward(Call& call) {
  const int64_t rows = call.dim("rows"), dIn = call.dim("dIn"), dOut = call.dim("dOut"), floats = call.dim("floats");
  const int64_t groups = call.dim("groups"), slots = call.dim("slots"), slot = call.integer("slot");
  const IntList& offsets = call.list("rowOffsets");
  for (int64_t group = 0; group < groups; ++group) {
    const int64_t begin = offsets.empty() ? 0 : offsets[static_cast<size_t>(group)];
    const int64_t end = offsets.empty() ? rows : offsets[static_cast<size_t>(group) + 1];
    const int64_t block = group * slots + slot;
    Epilogue epilogue;
    epilogue.activation = activationOf(call);
    if (call.has(kBias)) epilogue.bias = call.f(kBias) + block * dOut;
    if (call.has(kResidual)) epilogue.residual = call.f(kResidual) + begin * dOut;
    packedProduct(end - begin, dIn, dOut, call.f(kX) + begin * dIn, call.f(kPacked) + block * floats, epilogue,
                  call.o(kY) + begin * dOut);
  }
}

}  // namespace hint::packed_linear
