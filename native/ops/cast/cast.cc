#include "native/ops/cast/cast.h"

#include "native/runtime/error.h"

namespace hint {

OpSpec declare_cast() {
  using namespace cast;
  OpSpec op;
  op.name = "cast";
  op.summary = "y = x in another floating-point dtype";
  op.inputs = {{"x", "*n", kRequired, std::nullopt}};
  op.outputs = {{"y", "*n", kRequired, std::nullopt}};
  op.attributes.push_back({"to", std::string("bf16")});
  op.kernels[0] = {forward, nullptr};
  op.resolve = [](Call& call) {
    const DType from = call.in(kX).dtype, to = dtypeFromName(call.word("to"));
    for (DType dtype : {from, to})
      if (dtype != DType::f32 && dtype != DType::bf16)
        fail("INVALID_ARGUMENT", call.describe(), ": cannot cast from ", nameOf(from), " to ", nameOf(to),
             "; both must be f32 or bf16.");
    call.setOutputDType(kY, to);
  };
  return op;
}

}  // namespace hint
