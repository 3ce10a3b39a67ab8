#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lattice::gpu::stand_in {

/// When the device does what it was given. A program that waits for everything that it needs, and for nothing
/// that it has not submitted, sees no difference.
enum class Progress : std::uint8_t {
  kLate,    ///< not before somebody waits for it, and then no more than that
  kEager,   ///< as soon as it is committed
  kRandom,  ///< some of it, whenever a message comes
};

struct DeviceSpec {
  std::string name = "Apple M2 stand-in";
  bool is_apple = true;  ///< of the M1's family or later
};

/// The Mac that is played. Tests change it before they make a device.
struct Machine {
  std::vector<DeviceSpec> devices = {DeviceSpec{}};
  int gpu_cores = 10;
  Progress progress = Progress::kLate;
  std::uint64_t seed = 1;  ///< of kRandom, and of the order of dispatches that no barrier orders
  std::size_t most_memory = std::size_t{8} << 30;
  std::size_t most_buffer = std::size_t{4} << 30;
  std::uint32_t most_threads = 1024;  ///< of a threadgroup, in every pipeline
  std::uint32_t simd_width = 32;
  /// The command buffer, counted from 0, that ends in an error, and its code.
  std::optional<std::pair<int, long>> failing_buffer;

  // What has happened so far.
  int libraries_compiled = 0;
  int libraries_from_built_in = 0;  ///< of them, those with the tokens of a file in src/gpu/kernels
  int pipelines_compiled = 0;       ///< not found in an archive
  int buffers_committed = 0;
  int most_in_flight = 0;  ///< committed and not done, at a time
  int dispatches = 0;
  int barriers = 0;
  int encoders = 0;
  std::size_t memory = 0;   ///< of buffers that Metal allocated
  std::size_t wrapped = 0;  ///< bytes of buffers without a copy
};

[[nodiscard]] Machine& machine();
/// A new machine, with what `spec` says. Violations, and objects that are still there, are forgotten.
void start_machine(Machine spec = {}, int macos = 15);

/// Entries of the system's registry of devices that were not given back.
[[nodiscard]] int open_registry_entries() noexcept;

}  // namespace lattice::gpu::stand_in
