#include "grouping_device.h"

#include <algorithm>

#include "support/fail.h"

namespace lattice::gpu {
namespace {

/// Both take the quants first and the scales second.
bool reads_matrix(std::string_view kernel) {
  return kernel.starts_with("gemv_") || kernel.starts_with("gemm_");
}

double matrix_bytes(std::string_view kernel, const std::vector<Argument>& arguments) {
  if (!reads_matrix(kernel)) return 0;
  double bytes = 0;
  for (std::size_t i = 0; i < 2; ++i) bytes += static_cast<double>(arguments[i].buffer()->bytes());
  return bytes;
}

}  // namespace

/// A recording that is only counted: its dispatches go to the device's groups.
class GroupingDevice::GroupingCommands final : public Commands {
 public:
  explicit GroupingCommands(GroupingDevice& device) : device_(device) {}

  void dispatch(const Kernel& kernel, std::vector<Argument> arguments, Extent threadgroups,
                std::uint32_t threads) override {
    KernelGroup& group = group_of(kernel.name(), threadgroups, threads);
    group.matrix_bytes += matrix_bytes(kernel.name(), arguments);
    group.commands->dispatch(kernel, std::move(arguments), threadgroups, threads);
    group.commands->barrier();
    ++dispatches_;
  }
  void product(const MatrixProduct& product) override {
    KernelGroup& group = group_of("product", {product.rows, product.vectors, product.cols}, 0);
    group.matrix_bytes += 2.0 * product.rows * product.cols;
    group.commands->product(product);
    group.commands->barrier();
    ++dispatches_;
  }
  [[nodiscard]] std::size_t dispatches() const noexcept override { return dispatches_; }

 private:
  KernelGroup& group_of(std::string_view kernel, Extent grid, std::uint32_t threads) {
    const auto found = std::ranges::find_if(device_.groups_, [&](const KernelGroup& group) {
      return group.kernel == kernel && group.threads == threads && group.threadgroups.x == grid.x &&
             group.threadgroups.y == grid.y && group.threadgroups.z == grid.z;
    });
    if (found != device_.groups_.end()) return *found;
    device_.groups_.push_back({std::string(kernel), grid, threads, 0, device_.device_.new_commands()});
    return device_.groups_.back();
  }

  GroupingDevice& device_;
  std::size_t dispatches_ = 0;
};

std::unique_ptr<Commands> GroupingDevice::new_commands() {
  return std::make_unique<GroupingCommands>(*this);
}

void GroupingDevice::submit(const Commands& /*commands*/) {
  fail_usage("a grouping device records only: submit its groups to the device behind it");
}

}  // namespace lattice::gpu
