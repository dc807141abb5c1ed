#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

/// The best rates of this machine, measured in the same run as the ops that are compared with them.
namespace hint::bench {

struct Roofs {
  double gflops = 0;                              ///< the fastest of several large square f32 matrix products
  std::vector<std::pair<double, double>> copies;  ///< (bytes read and written, GB/s) of parallel copies, ascending

  /// GB/s of copies that move at least `bytes`: small copies stay in the cache, as do small ops.
  double bandwidth(double bytes) const;
};

Roofs measureRoofs();

/// Median seconds of one call of `body` over `samples` samples after a warm-up. Short bodies are repeated within a
/// sample, so that the clock's resolution does not matter. With `before`, which runs untimed before each sample, a
/// sample is one call.
template <typename Body, typename Before = void (*)()>
double medianSeconds(int samples, const Body& body, const Before& before = nullptr) {
  using Clock = std::chrono::steady_clock;
  const auto seconds = [&](int64_t calls) {
    const auto start = Clock::now();
    for (int64_t i = 0; i < calls; ++i) body();
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  constexpr bool prepared = !std::is_same_v<Before, void (*)()>;
  const auto prepare = [&] {
    if constexpr (prepared) before();
  };
  constexpr double kSample = 2e-4, kWarmUp = 0.02;
  double single = 0;
  for (double spent = 0; spent < kWarmUp; spent += single) {
    prepare();
    single = std::max(seconds(1), 1e-8);
  }
  const auto calls = prepared ? int64_t{1} : std::max<int64_t>(1, static_cast<int64_t>(kSample / single));
  std::vector<double> times;
  for (int i = 0; i < samples; ++i) {
    prepare();
    times.push_back(seconds(calls) / static_cast<double>(calls));
  }
  std::nth_element(times.begin(), times.begin() + samples / 2, times.end());
  return times[static_cast<size_t>(samples / 2)];
}

}  // namespace hint::bench
