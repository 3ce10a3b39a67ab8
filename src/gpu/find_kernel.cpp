#include "gpu/kernel_table.h"
#include "support/fail.h"
#include "support/printable.h"

namespace lattice::gpu {
namespace {

bool has_constant(const soft::ModuleInfo& module, std::uint32_t index) {
  for (unsigned i = 0; i < module.constant_count; ++i) {
    if (module.constants[i].index == index) return true;
  }
  return false;
}

const soft::KernelInfo& info_of(const soft::ModuleInfo& module, std::string_view name) {
  for (unsigned i = 0; i < module.kernel_count; ++i) {
    if (name == module.kernels[i].name) return module.kernels[i];
  }
  fail("kernel {} was translated and not compiled", name);
}

}  // namespace

FoundKernel find_kernel(const std::vector<BuiltInKernels>& files, std::string_view name,
                        std::span<const FunctionConstant> constants) {
  for (const BuiltInKernels& file : files) {
    for (std::size_t place = 0; place < file.signatures.size(); ++place) {
      if (file.signatures[place].name != name) continue;
      const soft::ModuleInfo& module = *file.entry();
      for (const FunctionConstant& constant : constants) {
        if (!has_constant(module, constant.index)) {
          fail_usage("kernel {} has no function constant {}", name, constant.index);
        }
      }
      return {&file, place, &info_of(module, name)};
    }
  }
  fail_usage("there is no kernel {}", printable(name));
}

}  // namespace lattice::gpu
