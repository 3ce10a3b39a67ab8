#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tool.h"

// What the questions of gpu_probe share.

namespace lattice::gpu {

/// The device that is asked, and how much is asked of it.
struct Probe {
  std::function<std::unique_ptr<Device>()> open;  ///< another one of its kind
  std::unique_ptr<Device> device;
  bool quick = false;  ///< sizes that a device in software gets through: whether it works, and no figures

  /// time_replays(). The clock of a GPU that was idle rises for about a second, so the first call keeps it
  /// busy for so long.
  [[nodiscard]] bench::Samples time(const Commands& commands);
  [[nodiscard]] std::unique_ptr<Buffer> random(std::size_t bytes, std::uint64_t seed) const {
    return random_buffer(*device, bytes, seed);
  }
  /// A matrix of random weights.
  [[nodiscard]] DeviceMatrix matrix(DType format, std::uint32_t rows, std::uint32_t cols, std::uint64_t seed);
  /// Cores to share work out to; at least 1.
  [[nodiscard]] std::uint32_t cores() const noexcept { return device->cores() == 0 ? 1 : device->cores(); }

 private:
  bool warm_ = false;
};

/// A question: what it is called, what it asks, which knob its answer sets, and the program that prints the
/// answer.
struct Question {
  std::string name;
  std::string asks;
  std::string knob;
  void (*answer)(Probe& probe);
};
[[nodiscard]] const std::vector<Question>& questions();

}  // namespace lattice::gpu
