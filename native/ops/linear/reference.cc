#include "native/ops/common/reference.h"

#include "native/ops/common/activation.h"
#include "native/ops/linear/linear.h"

namespace hint {

OpReference reference_linear() {
  OpReference reference;
  reference.forward = [](ReferenceCall& r) {
    const int64_t rows = r.call.dim("rows"), dIn = r.call.dim("dIn"), dOut = r.call.dim("dOut");
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < dOut; ++j) {
        double sum = 0;
        for (int64_t k = 0; k < dIn; ++k) sum += r.in(linear::kX)[i * dIn + k] * r.in(linear::kWeight)[j * dIn + k];
        if (r.has(linear::kBias)) sum += r.in(linear::kBias)[j];
        sum *= r.call.number("alpha");
        if (r.call.hasOut(linear::kPreActivation)) r.out(linear::kPreActivation)[i * dOut + j] = sum;
        r.out(linear::kY)[i * dOut + j] = activationReference(activationOf(r.call), sum);
      }
  };
  const std::string gelu = "gelu", tanh = "tanh", relu = "relu";
  reference.cases = {
      {"bias", {{{{5, 17}}}, {{{13, 17}, {}, 0.3}}, {{{13}}}}},
      {"odd sizes", {{{{5, 17}}}, {{{13, 17}, {}, 0.3}}}},
      {"one row, gelu, alpha", {{{{1, 32}}}, {{{24, 32}, {}, 0.3}}}, {{"activation", gelu}, {"alpha", 0.5}}},
      {"tanh", {{{{9, 8}}}, {{{3, 8}}}}, {{"activation", tanh}}},
      {"relu", {{{{6, 9}}}, {{{11, 9}, {}, 0.3}}}, {{"activation", relu}}},
      {"gelu_erf", {{{{6, 9}}}, {{{11, 9}, {}, 0.6}}}, {{"activation", std::string("gelu_erf")}}},
      {"silu", {{{{6, 9}}}, {{{11, 9}, {}, 0.6}}}, {{"activation", std::string("silu")}}},
      {"gelu_erf, large values saturate",
       {{{{6, 9}}}, {{{11, 9}, {}, 4.0}}},
       {{"activation", std::string("gelu_erf")}}},
      {"silu, large values saturate", {{{{6, 9}}}, {{{11, 9}, {}, 4.0}}}, {{"activation", std::string("silu")}}},
      {"bias, alpha of queries", {{{{4, 12}}}, {{{12, 12}, {}, 0.3}}, {{{12}}}}, {{"alpha", 0.25}}},
      {"bias, gelu, one row", {{{{1, 32}}}, {{{24, 32}, {}, 0.3}}, {{{24}}}}, {{"activation", gelu}}},
      {"bias, gelu, alpha, split between threads",
       {{{{300, 24}}}, {{{230, 24}, {}, 0.3}}, {{{230}}}},
       {{"activation", gelu}, {"alpha", 2.0}}},
      {"bias, relu", {{{{7, 5}}}, {{{9, 5}, {}, 0.3}}, {{{9}}}}, {{"activation", relu}}},
      {"bias, no rows", {{{{0, 8}}}, {{{3, 8}}}, {{{3}}}}},
      {"a bias of another width is refused", {{{{2, 8}}}, {{{3, 8}}}, {{{8}}}}, {}, false, "INVALID_SHAPE"},
      {"an activation that does not exist is refused",
       {{{{2, 8}}}, {{{3, 8}}}},
       {{"activation", std::string("swish")}},
       false,
       "INVALID_ARGUMENT"},
      {"seven rows, columns beyond one panel", {{{{7, 37}}}, {{{70, 37}, {}, 0.3}}}},
      {"rows enough for panels", {{{{40, 19}}}, {{{21, 19}, {}, 0.3}}}},
      {"bias of twenty thousand rows that pull one way",
       {{{{20000, 1}, {}, 0.1, 1.0}}, {{{3, 1}}}, {{{3}}}},
       {},
       false,
       {},
       1.0,
       5e-6},
      {"no rows", {{{{0, 8}}}, {{{3, 8}}}}},
      {"T5-base projection", {{{{4096, 768}}}, {{{768, 768}, {}, 0.03}}}, {}, true},
      {"T5-base projection, 25 decoded rows", {{{{25, 768}}}, {{{768, 768}, {}, 0.03}}}, {}, true},
      {"T5-base feed-forward in, 25 decoded rows", {{{{25, 768}}}, {{{2048, 768}, {}, 0.03}}}, {}, true},
      {"T5-base feed-forward out, 25 decoded rows", {{{{25, 2048}}}, {{{768, 2048}, {}, 0.03}}}, {}, true},
      {"T5-base feed-forward", {{{{4096, 768}}}, {{{2048, 768}, {}, 0.03}}}, {}, true},
      {"GPT-2 feed-forward", {{{{4096, 768}}}, {{{3072, 768}, {}, 0.03}}, {{{3072}}}}, {{"activation", gelu}}, true},
      {"one row", {{{{1, 768}}}, {{{2048, 768}, {}, 0.03}}}, {}, true},
  };
  return reference;
}

}  // namespace hint
