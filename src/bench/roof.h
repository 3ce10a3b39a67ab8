#pragma once

namespace lattice::bench {

/// What this machine can do, measured on the spot and never taken from a data sheet: the denominators of all
/// that the benchmarks report.
struct Roof {
  int threads = 0;
  double bytes_per_second = 0;  ///< read from memory (cpu's ReadBandwidth); the median of all passes
  double flop_per_second = 0;   ///< float32 multiply-adds (two operations each) in registers
  double phase_seconds = 0;     ///< one phase that does nothing: release, join
};

/// Measures arithmetic and phase cost with `threads` threads; takes about `seconds`. Bandwidth is left to the
/// caller, who measures it beside what it is compared with: it may change within seconds.
[[nodiscard]] Roof measure_compute_roof(int threads, double seconds = 0.5);

/// The parts, each for about `seconds`.
[[nodiscard]] double measure_flop_rate(int threads, double seconds);
[[nodiscard]] double measure_phase_cost(int threads, double seconds);

}  // namespace lattice::bench
