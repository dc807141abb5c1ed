#include "native/ops/reference.h"

#include "native/ops/pack_weight/pack_weight.h"
#include "native/runtime/packed_matrix.h"

namespace hint {
namespace {

/// The machine's order is read off a matrix of the numbers 1, 2, 3 …: what pads it stays 0.
void forward(ReferenceCall& r) {
  using namespace pack_weight;
  const int64_t rows = r.call.dim("rows"), columns = r.call.dim("columns"), floats = r.call.dim("floats");
  const bool transposed = r.call.integer("transposed") != 0;
  const int64_t dIn = transposed ? columns : rows, dOut = transposed ? rows : columns;
  std::vector<float> numbers(static_cast<size_t>(rows * columns)), order(static_cast<size_t>(floats));
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(i + 1);
  packMatrix(dIn, dOut, false, numbers.data(), order.data());
  for (int64_t matrix = 0; matrix < r.call.dim("groups") * r.call.dim("slots"); ++matrix)
    for (int64_t i = 0; i < floats; ++i) {
      const auto number = static_cast<int64_t>(order[static_cast<size_t>(i)]) - 1;
      if (number < 0) continue;
      const int64_t in = number / dOut, out = number % dOut;
      const int64_t from = transposed ? out * columns + in : in * columns + out;
      r.out(kPacked)[matrix * floats + i] = r.in(kWeight)[matrix * rows * columns + from];
    }
}

}  // namespace

OpReference reference_pack_weight() {
  OpReference reference;
  reference.forward = forward;
  reference.forwardTolerance = 0;
  const std::pair<std::string, Attribute> generated("transposed", int64_t{0});
  reference.cases = {
      {"odd sizes", {{{{1, 1, 13, 17}}}}},
      {"odd sizes, as generated", {{{{1, 1, 17, 13}}}}, {generated}},
      {"one output column", {{{{1, 1, 1, 40}}}}},
      {"one input column", {{{{1, 1, 70, 1}}}}},
      {"tasks and slots", {{{{2, 3, 33, 50}}}}, {generated}},
      {"no inputs", {{{{1, 1, 3, 0}}}}},
      {"T5-base projection", {{{{1, 1, 768, 768}}}}, {}, true},
      {"T5-base adapters of a task", {{{{1, 24, 768, 512}}}}, {generated}, true},
  };
  return reference;
}

}  // namespace hint
