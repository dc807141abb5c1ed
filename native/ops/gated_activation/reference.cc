#include "native/ops/common/reference.h"

#include "native/ops/common/activation.h"
#include "native/ops/common/dropout_mask.h"
#include "native/ops/gated_activation/gated_activation.h"

namespace hint {

OpReference reference_gated_activation() {
  using namespace gated_activation;
  OpReference reference;
  reference.forward = [](ReferenceCall& r) {
    const auto mask = maskReference(r.call, r.call.dim("rows"), r.call.dim("dFf"));
    for (size_t i = 0; i < mask.size(); ++i)
      r.outputs[kY][i] = activationReference(activationOf(r.call), r.inputs[kGate][i]) * r.inputs[kLinear][i] * mask[i];
  };
  const std::pair<std::string, Attribute> rate = {"dropoutRate", 0.1}, seed = {"dropoutSeed", 5.0};
  const auto both = [](Shape shape, double scale = 1.0) {
    return std::vector<std::optional<CaseInput>>{{{shape, {}, scale}}, {{shape}}};
  };
  reference.cases = {
      {"odd sizes", both({5, 17})},
      {"large gates saturate", both({9, 31}, 8.0)},
      {"a mask per row", both({5, 37}), {rate, seed}},
      {"a mask per sequence, some empty", both({7, 37}), {rate, seed, {"seqOffsets", IntList{0, 0, 1, 5, 5, 7}}}},
      {"a mask per sequence, eight units at a time",
       both({7, 40}),
       {rate, seed, {"seqOffsets", IntList{0, 0, 1, 5, 5, 7}}}},
      {"longer than a tile, split between threads", both({12, 2051}), {rate, {"seqOffsets", IntList{0, 7, 12}}}},
      {"longer than a tile, no dropout", both({9, 2051})},
      {"relu", both({6, 19}), {{"activation", std::string("relu")}}},
      {"gelu_erf", both({6, 19}, 2.0), {{"activation", std::string("gelu_erf")}}},
      {"gelu_erf, large gates saturate", both({9, 31}, 8.0), {{"activation", std::string("gelu_erf")}}},
      {"silu", both({6, 19}, 2.0), {{"activation", std::string("silu")}}},
      {"silu, large gates saturate", both({9, 31}, 30.0), {{"activation", std::string("silu")}}},
      {"silu, longer than a tile, a mask per sequence",
       both({12, 2051}),
       {{"activation", std::string("silu")}, rate, {"seqOffsets", IntList{0, 7, 12}}}},
      {"gelu_erf, longer than a tile, no dropout", both({9, 2051}), {{"activation", std::string("gelu_erf")}}},
      {"no activation multiplies", both({3, 7}), {{"activation", std::string("none")}}},
      {"an activation that does not exist is refused",
       both({3, 7}),
       {{"activation", std::string("mish")}},
       false,
       "INVALID_ARGUMENT"},
      {"one unit", both({1, 1})},
      {"no rows", both({0, 16}), {rate}},
      {"T5-base", both({4096, 2048}), {}, true},
      {"T5-base with dropout per sequence",
       both({4096, 2048}),
       {rate, {"seqOffsets", IntList{0, 512, 1024, 1536, 2048, 2560, 3072, 3584, 4096}}},
       true},
      {"T5-base, silu", both({4096, 2048}), {{"activation", std::string("silu")}}, true},
      {"one row", both({1, 2048}), {}, true},
  };
  return reference;
}

}  // namespace hint
