#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "bench/roof.h"
#include "cpu/aligned_memory.h"
#include "cpu/cpu_backend.h"
#include "cpu/kernels/kernels.h"
#include "support/thread_pool.h"

namespace lattice::bench {

/// What all benchmarks of the program share: the team of threads, and the roof that it has.
ThreadPool& team();
const Roof& roof();

/// Bytes of the last-level cache, as the system tells; 32 MiB where it does not.
std::int64_t last_level_cache_bytes();

/// A benchmark's inputs are taken in turn from this much memory, so that what the last iteration read is out
/// of every cache when it comes round again, as in a decode step.
std::int64_t cold_bytes();

/// Work of one iteration.
struct Work {
  double bytes = 0;  ///< that must come from memory or go there
  double flop = 0;
};

/// Sets the counters: GB/s, GFLOP/s, and per cent of the roof, which is the slower of the two for this work.
/// `seconds` is the wall's time of all iterations.
void count(benchmark::State& state, const Work& work, double seconds);

/// The benchmark loop around `body`, with the counters of `work`. (Google Benchmark's own rates cannot be per
/// cent.)
template <typename Body>
void measure(benchmark::State& state, const Work& work, const Body& body) {
  const auto start = std::chrono::steady_clock::now();
  for (auto _ : state) {
    body();
    benchmark::ClobberMemory();
  }
  count(state, work, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
}

/// A table of kernels and its name.
struct Table {
  std::string name;
  const cpu::Kernels* kernels;
};

/// The tables that this processor can run, the best first.
const std::vector<Table>& tables();

/// Random bytes to stand in for weights: written by all threads, valid as any of the formats.
class RandomPool {
 public:
  enum class Content : std::uint8_t { kQuants, kScales, kF16, kBF16, kF32 };
  RandomPool(Content content, std::int64_t bytes);
  [[nodiscard]] const std::byte* data() const noexcept { return memory_.data(); }
  [[nodiscard]] std::int64_t size() const noexcept { return static_cast<std::int64_t>(memory_.size()); }

 private:
  cpu::AlignedMemory memory_;
};

// Each registers its benchmarks.
void register_products();
void register_attention();
void register_delta_rule();
void register_vectors();
void register_sampling();

}  // namespace lattice::bench
