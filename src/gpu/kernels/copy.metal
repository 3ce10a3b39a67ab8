// Copies memory on the device.

#include <metal_stdlib>

#include "kernel_args.h"

using namespace metal;
using namespace lattice_gpu;

/// from [vectors] → to [vectors], which do not overlap. Any number of threads.
[[kernel]] void copy(device const uint4* from [[buffer(0)]], device uint4* to [[buffer(1)]],
                     constant CopyArgs& args [[buffer(2)]], uint thread_index [[thread_position_in_grid]],
                     uint threads [[threads_per_grid]]) {
  for (uint i = thread_index; i < args.vectors; i += threads) to[i] = from[i];
}
