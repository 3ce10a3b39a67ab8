#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "model/backend.h"
#include "model/weights.h"
#include "support/progress.h"

namespace lattice {

/// Instruction sets that the kernels are written for, best last.
enum class Isa : std::uint8_t {
  kScalar,
  kNeon,
  kNeonDotprod,
  kNeonI8mm,
  kAvx2,
  kAvxVnni,
  kAvx512,
  kAvx512Vnni,
  kAmx
};

[[nodiscard]] std::string_view isa_name(Isa isa) noexcept;
/// What this processor can run, best last.
[[nodiscard]] std::vector<Isa> available_isas();

struct CpuOptions {
  int threads = 0;         ///< 0: one for every physical core that the process may use
  std::optional<Isa> isa;  ///< nothing: the best there is, or what LATTICE_ISA names
  bool exact = false;  ///< keep activations in float, rather than in int8 blocks (quantised weights) or split
                       ///< in two bfloat16 numbers (BF16 weights and AMX)
  KvFormat kv = KvFormat::kF32;
  bool pin_threads = false;  ///< as ThreadPool says
  Progress progress;         ///< of the repacking at load
};

/// The CPU forward pass. Repacks the matrices, so `weights` need not outlive the call.
[[nodiscard]] std::unique_ptr<Backend> make_cpu_backend(const Config& config, const Weights& weights,
                                                        const CpuOptions& options = {});

/// What `threads` threads can read from memory together, with the access pattern of the decode kernels, from
/// a buffer several times the last-level cache.
class ReadBandwidth {
 public:
  /// Throws Error where memory has no room for the buffer.
  explicit ReadBandwidth(int threads);
  ~ReadBandwidth();
  ReadBandwidth(const ReadBandwidth&) = delete;
  ReadBandwidth& operator=(const ReadBandwidth&) = delete;

  /// Bytes a second of one pass, some ten milliseconds long.
  [[nodiscard]] double pass();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The median of passes that together take about `seconds`.
[[nodiscard]] double measure_read_bandwidth(int threads, double seconds = 0.5);

}  // namespace lattice
