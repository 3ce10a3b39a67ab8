#pragma once

#include <span>

#include "gpu/device.h"
#include "gpu/kernel_table.h"
#include "msl/soft/dispatch.h"

namespace lattice::gpu {

/// What every device demands of a dispatch, as Commands::dispatch() says: throws Error(kUsage) naming kernel
/// and parameter where something does not fit. `info` has the sizes of what the parameters point to. Returns
/// the grid in threads.
[[nodiscard]] msl::Grid check_dispatch(const KernelSignature& signature, const soft::KernelInfo& info,
                                       std::span<const Argument> arguments, Extent threadgroups,
                                       std::uint32_t threads_per_threadgroup);

/// The same of a product: throws Error(kUsage) where a matrix is empty, does not lie inside its buffer, or
/// begins where its elements cannot.
void check_product(const MatrixProduct& product);

}  // namespace lattice::gpu
