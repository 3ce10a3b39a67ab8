#pragma once

#include <random>
#include <vector>

#include "gpu/metal/stand_in/commands.h"

namespace lattice::gpu::stand_in {

/// Runs the dispatches of a phase on the soft device, in an order of chance, since no barrier stands between
/// them. Violations: dispatches that need one, and buffers that are in none of the residency sets where the
/// queue has some.
void execute(Phase& phase, const std::vector<Strong<ResidencySet>>& sets, std::mt19937_64& random);

}  // namespace lattice::gpu::stand_in
