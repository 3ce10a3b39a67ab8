#pragma once

namespace lattice::bench {

/// What this machine can do, measured on the spot and never taken from a data sheet: the denominators of all
/// that the benchmarks report.
struct Roof {
  int threads = 0;
  double bytes_per_second = 0;  ///< read from memory, by the decode kernels' own access pattern
  double flop_per_second = 0;   ///< float32 multiply-adds (two operations each) in registers
  double phase_seconds = 0;     ///< one phase that does nothing: release, join
};

/// Measures all three with `threads` threads; takes about `seconds`. 0 threads: one for every processor.
[[nodiscard]] Roof measure_roof(int threads, double seconds = 1.0);

/// The parts, each for about `seconds`.
[[nodiscard]] double measure_flop_rate(int threads, double seconds);
[[nodiscard]] double measure_phase_cost(int threads, double seconds);

}  // namespace lattice::bench
