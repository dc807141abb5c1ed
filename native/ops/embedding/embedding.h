#pragma once

#include "native/core/call.h"

/// y[row] = table[ids[row]], stored as the table or as `outputDType` says. An id outside the table raises INVALID_TOKEN
/// and writes nothing.
namespace hint::embedding {

enum Input { kIds, kTable };
enum Output { kY };

void forward(Call& call);
/// Adds into the rows of the table that occur among the ids, each in the order of its occurrences.
void backward(Call& call);

}  // namespace hint::embedding
