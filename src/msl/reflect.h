#pragma once

#include <string>

#include "msl/module.h"

namespace lattice::msl {

/// What a host must know to launch the module's kernels, as JSON: kernels with their parameters, the
/// threadgroup variables in their bodies, and function constants. Indented by two spaces.
[[nodiscard]] std::string reflect_json(const Module& module);

}  // namespace lattice::msl
