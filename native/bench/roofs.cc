#include "native/bench/roofs.h"

#include <cstring>

#include "native/math/gemm.h"
#include "native/runtime/parallel.h"
#include "native/runtime/scratch.h"

namespace hint::bench {

double Roofs::bandwidth(double bytes) const {
  for (const auto& [size, rate] : copies)
    if (size >= bytes) return rate;
  return copies.back().second;
}

Roofs measureRoofs() {
  Roofs roofs;
  for (int64_t size : {768, 1024, 1536, 2048, 3072}) {
    Scratch a(size * size), b(size * size), c(size * size);
    std::fill_n(a.data(), size * size, 0.5f);
    std::fill_n(b.data(), size * size, 0.25f);
    const double seconds =
        medianSeconds(5, [&] { gemm(false, false, size, size, size, 1.0f, a, size, b, size, 0.0f, c, size); });
    roofs.gflops = std::max(roofs.gflops, 2e-9 * static_cast<double>(size * size * size) / seconds);
  }
  for (double megabytes : {0.03125, 0.25, 1.0, 4.0, 16.0, 32.0, 64.0, 128.0, 512.0}) {
    const auto count = static_cast<int64_t>(megabytes * (1 << 20) / 8);
    Scratch from(count), to(count);
    std::fill_n(from.data(), count, 1.0f);
    std::fill_n(to.data(), count, 1.0f);
    const double bytes = 8.0 * static_cast<double>(count);
    const double seconds = medianSeconds(9, [&] {
      parallelFor(count, 16384, [&](int64_t begin, int64_t end) {
        std::memcpy(to + begin, from + begin, static_cast<size_t>(end - begin) * sizeof(float));
      });
    });
    roofs.copies.emplace_back(bytes, 1e-9 * bytes / seconds);
  }
  return roofs;
}

}  // namespace hint::bench
