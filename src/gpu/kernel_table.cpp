#include "gpu/kernel_table.h"

#include <algorithm>

#include "msl/emit.h"

namespace lattice::gpu {

std::vector<KernelSignature> signatures_of(const msl::Module& module) {
  std::vector<KernelSignature> out;
  for (const msl::Kernel& kernel : module.kernels) {
    const msl::KernelFunction& function = module.function_of(kernel);
    KernelSignature signature{kernel.name, function.max_threads, {}};
    for (std::uint32_t i = 0; i < function.parameters.size(); ++i) {
      const msl::Parameter& parameter = function.parameters[i];
      if (parameter.kind != msl::ParameterKind::kBuffer) continue;
      const bool constant = parameter.space == msl::AddressSpace::kConstant;
      signature.parameters.push_back({parameter.name, i, parameter.index, !constant && !parameter.read_only,
                                      constant, msl::is_by_value(parameter)});
    }
    std::ranges::sort(signature.parameters, {}, &KernelParameter::index);
    out.push_back(std::move(signature));
  }
  return out;
}

}  // namespace lattice::gpu
