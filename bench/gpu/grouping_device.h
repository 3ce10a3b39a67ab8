#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gpu/device.h"

namespace lattice::gpu {

/// The dispatches of one kernel and grid among those that were recorded, one after the other; or the device's
/// own products of one size.
struct KernelGroup {
  std::string kernel;  ///< "product" for the device's own
  Extent threadgroups;
  std::uint32_t threads = 0;  ///< of a threadgroup
  double matrix_bytes = 0;    ///< of the weights that its matrix products read, quants and scales; else 0
  std::unique_ptr<Commands> commands;
};

/// Another device's face: whatever is recorded on it comes apart into groups, so that each kernel of a step
/// can be timed by itself, on the step's own data. Nothing runs on it.
class GroupingDevice final : public Device {
 public:
  explicit GroupingDevice(Device& device) : device_(device) {}

  [[nodiscard]] std::string description() const override { return device_.description(); }
  [[nodiscard]] std::uint32_t cores() const noexcept override { return device_.cores(); }
  [[nodiscard]] std::unique_ptr<Buffer> allocate(std::size_t bytes) override {
    return device_.allocate(bytes);
  }
  [[nodiscard]] const Kernel& kernel(std::string_view name,
                                     std::span<const FunctionConstant> constants) override {
    return device_.kernel(name, constants);
  }
  [[nodiscard]] bool has_products() const noexcept override { return device_.has_products(); }
  [[nodiscard]] std::unique_ptr<Commands> new_commands() override;
  /// Throws Error(kUsage): groups are submitted to the device itself.
  void submit(const Commands& commands) override;
  void wait() override { device_.wait(); }

  /// What was recorded since the last call, in the order in which each group came first.
  [[nodiscard]] std::vector<KernelGroup> take_groups() { return std::exchange(groups_, {}); }

 private:
  class GroupingCommands;

  Device& device_;
  std::vector<KernelGroup> groups_;
};

}  // namespace lattice::gpu
