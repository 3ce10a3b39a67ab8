#pragma once

#include <memory>
#include <string>

#include "gpu/device.h"

namespace lattice::gpu {

/// Why this machine cannot run kernels on an Apple GPU, in words for people; empty where it can.
[[nodiscard]] std::string metal_absence();
/// "Apple M2 Max (30 cores, 22.9 GB for the GPU)": the device that make_metal_device() takes. Empty where
/// there is none.
[[nodiscard]] std::string metal_description();

/// An Apple GPU, by way of Metal. Kernels are compiled when they are first asked for, and kept on disk.
/// Throws Error saying what is missing, as metal_absence() does.
[[nodiscard]] std::unique_ptr<Device> make_metal_device();

}  // namespace lattice::gpu
