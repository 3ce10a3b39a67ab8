#include "bench/roof.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <vector>

#include "bench/statistics.h"
#include "support/thread_pool.h"

namespace lattice::bench {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Independent sums in flight: at four cycles of latency and two multiply-adds a cycle eight would do; more
// cover processors with longer pipelines, and all still fit 16 vector registers.
constexpr int kSums = 12;
constexpr std::int64_t kIterations = 200'000;  // half a millisecond: a phase costs nothing beside it

template <int kBytes>
struct VectorOf;
template <>
struct VectorOf<16> {
  using Type = float __attribute__((vector_size(16)));
};
template <>
struct VectorOf<32> {
  using Type = float __attribute__((vector_size(32)));
};
template <>
struct VectorOf<64> {
  using Type = float __attribute__((vector_size(64)));
};

/// kIterations rounds of kSums multiply-adds on vectors of `kBytes`. Returns something that depends on all of
/// them. What the compiler cannot know (`factor`, `addend`) keeps it from computing the result beforehand.
template <int kBytes>
[[gnu::always_inline]] inline float multiply_add(float factor, float addend) {
  using Vector = typename VectorOf<kBytes>::Type;
  Vector sums[kSums];
  const Vector f = factor - Vector{};
  const Vector a = addend - Vector{};
  for (int i = 0; i < kSums; ++i) sums[i] = a * static_cast<float>(i);
  for (std::int64_t n = 0; n < kIterations; ++n) {
    for (int i = 0; i < kSums; ++i) sums[i] = sums[i] * f + a;
  }
  Vector total = sums[0];
  for (int i = 1; i < kSums; ++i) total += sums[i];
  float out = 0;
  for (int i = 0; i < kBytes / 4; ++i) out += total[i];
  return out;
}

struct Loop {
  float (*run)(float factor, float addend);
  int lanes;
};

float loop_16(float factor, float addend) {
  return multiply_add<16>(factor, addend);
}
#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) float loop_32(float factor, float addend) {
  return multiply_add<32>(factor, addend);
}
__attribute__((target("avx512f"))) float loop_64(float factor, float addend) {
  return multiply_add<64>(factor, addend);
}
#endif

/// The widest that the processor has, whatever the kernels use: this is the machine's roof, not theirs.
Loop widest_loop() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return {loop_64, 16};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return {loop_32, 8};
#endif
  return {loop_16, 4};
}

}  // namespace

double measure_flop_rate(int threads, double seconds) {
  const Loop loop = widest_loop();
  ThreadPool pool(threads);
  std::atomic<float> factor = 0.5f;
  std::atomic<float> addend = 0.25f;
  std::vector<float> sinks(static_cast<std::size_t>(threads) * 16);  // a cache line apart
  std::vector<double> rates;
  const auto begin = Clock::now();
  while (rates.size() < 3 || seconds_since(begin) < seconds) {
    const auto start = Clock::now();
    pool.run([&](int thread) { sinks[static_cast<std::size_t>(thread) * 16] += loop.run(factor, addend); });
    const double operations = 2.0 * kSums * static_cast<double>(kIterations) * loop.lanes * threads;
    rates.push_back(operations / seconds_since(start));
  }
  return median(std::move(rates));
}

double measure_phase_cost(int threads, double seconds) {
  constexpr int kBurst = 200;  // phases: about as many as a decoded token has
  ThreadPool pool(threads);
  std::vector<double> costs;
  const auto begin = Clock::now();
  while (costs.size() < 3 || seconds_since(begin) < seconds) {
    const auto start = Clock::now();
    for (int i = 0; i < kBurst; ++i) pool.run([](int) {});
    costs.push_back(seconds_since(start) / kBurst);
  }
  return median(std::move(costs));
}

Roof measure_compute_roof(int threads, double seconds) {
  Roof roof;
  roof.threads = threads;
  roof.flop_per_second = measure_flop_rate(threads, seconds / 2);
  roof.phase_seconds = measure_phase_cost(threads, seconds / 2);
  return roof;
}

}  // namespace lattice::bench
