#pragma once

#include <algorithm>
#include <cstdint>

#include "native/ops/attention/cpu/workspace.h"
#include "native/runtime/scratch.h"

/// Buffers of the backward pass.
namespace hint::attention {

/// One segment of keys of one head, in the layouts that its five products read and write. Gradients are summed in f32
/// over a few hundred queries, and in double, in `sums`, over all of them, so that their error does not grow with the
/// number of queries.
struct Segment {
  float *keyPanels, *valuePanels, *keyRows, *gradientK, *gradientV;
  double *sumsK, *sumsV;
};

/// Floats per key of a head, in the order of Segment; with `sums`, those of its sums, too.
constexpr int64_t floatsPerKey(int64_t dim, bool sums) { return 2 * dim + (sums ? 7 : 3) * padded(dim); }

/// Own keys handled at once, at least. Their packed forms and gradients, 1.25 KiB a key at T5's head width, stay in the
/// second cache level while all queries of the sequence pass; of narrower heads more keys fit there.
constexpr int64_t kKeyTile = 256, kTileFloats = kKeyTile * floatsPerKey(64, false);

inline int64_t keyTileOf(int64_t dim) { return std::max(kKeyTile, kTileFloats / floatsPerKey(dim, false)); }

/// The buffers of one unit.
struct Buffers {
  int64_t dim, wide, keyTile, columns, block, relative;
  HeadArrays context, own, masks;
  Scratch scratch;
  float *scores, *dP, *q, *dO, *dQ, *delta, *logs, *dense, *relativeGradient;  ///< the last: of one block
  double* relativeSums;

  Buffers(const Geometry& g, int64_t heads, bool oneChunk, bool dropout, int64_t relativePositions)
      : dim(g.headDim),
        wide(padded(dim)),
        keyTile(keyTileOf(dim)),
        columns(contextColumns(g) + padded(std::min(g.maxKeys, keyTile))),
        block(blockRows(columns, g.maxQueries)),
        relative(relativePositions),
        context(contextColumns(g), floatsPerKey(dim, true), heads, false),
        own(columns - contextColumns(g), floatsPerKey(dim, !oneChunk), heads, oneChunk),
        masks(dropout ? columns : 0, 1, heads, oneChunk),
        scratch(Slices::size(context.floats()) + Slices::size(own.floats()) + Slices::size(masks.floats()) +
                2 * Slices::size(block * columns) + 3 * Slices::size(block * wide) + 2 * Slices::size(block) +
                Slices::size(contextColumns(g) + g.maxKeys) + Slices::size(relative) +
                Slices::size(2 * heads * relative)) {
    Slices slices(scratch);
    context.place(slices.take(context.floats()));
    own.place(slices.take(own.floats()));
    masks.place(slices.take(masks.floats()));
    scores = slices.take(block * columns);
    dP = slices.take(block * columns);
    q = slices.take(block * wide);
    dO = slices.take(block * wide);
    dQ = slices.take(block * wide);
    delta = slices.take(block);
    logs = slices.take(block);
    dense = slices.take(contextColumns(g) + g.maxKeys);
    relativeGradient = slices.take(relative);
    relativeSums = reinterpret_cast<double*>(slices.take(2 * heads * relative));
    std::fill(relativeGradient, relativeGradient + relative, 0.0f);
    std::fill(relativeSums, relativeSums + heads * relative, 0.0);
  }
  Segment segment(const SegmentRows& segments, int i, int64_t head) const {
    const HeadArrays& arrays = i == kOwn ? own : context;
    const int64_t column = i == kOwn ? 0 : segments.column[i];
    const auto rows = [&](int64_t before, int64_t perKey) { return arrays.at(head, before, perKey, column); };
    const int64_t at = 2 * dim;
    return {rows(0, dim),
            rows(dim, dim),
            rows(at, wide),
            rows(at + wide, wide),
            rows(at + 2 * wide, wide),
            reinterpret_cast<double*>(rows(at + 3 * wide, 2 * wide)),
            reinterpret_cast<double*>(rows(at + 5 * wide, 2 * wide))};
  }
};

}  // namespace hint::attention
