#include "native/ops/increment/increment.h"

#include "native/core/error.h"
#include "native/ops/common/gpu_work.h"

namespace hint {

OpSpec declare_increment() {
  using namespace increment;
  OpSpec op;
  op.name = "increment";
  op.summary = "x = min(x + by, limit), in place";
  op.inputs = {{"x", "*n", kMutable, DType::i32}};
  op.attributes = {{"by", int64_t{1}}, {"limit", int64_t{INT32_MAX}}};
  op.cpu = {forward, nullptr};
  op.resolve = [](Call& call) {
    for (const char* name : {"by", "limit"}) {
      const int64_t value = call.integer(name);
      if (value < INT32_MIN || value > INT32_MAX)
        fail("INVALID_ARGUMENT", call.describe(), ": ", name, " is ", value, ", but must fit 32 bits.");
    }
  };
  op.gpuWork = [](const Call& call) { return computing(call.dim("n")); };
  return op;
}

}  // namespace hint
