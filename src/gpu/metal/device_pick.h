#pragma once

#include <cstdint>
#include <string>

#include "gpu/metal/metal_cpp.h"

namespace lattice::gpu::metal {

struct DeviceOrReason {
  Owned<MTL::Device> device;
  std::string reason;  ///< where there is no device: why, for people
};

/// The first device that can run the kernels: an Apple GPU of the M1's family or a later one. All devices are
/// looked at, as a process without a display has no default one. LATTICE_METAL_DEVICE, a part of a name,
/// chooses among several.
[[nodiscard]] DeviceOrReason pick_device();

/// The GPU's cores as the system's registry has them, or those of the smallest M1 where it does not tell.
[[nodiscard]] std::uint32_t gpu_cores();

}  // namespace lattice::gpu::metal
