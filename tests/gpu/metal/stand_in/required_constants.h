#pragma once

#include <cstdint>
#include <set>
#include <string_view>

#include "msl/module.h"

namespace lattice::gpu::stand_in {

/// The function constants that a kernel, or anything that it names, uses: Metal makes no function without a
/// value for each. By names alone, so that it may ask for one too many where two things are called alike.
[[nodiscard]] std::set<std::uint32_t> required_constants(const msl::Module& module, std::string_view kernel);

}  // namespace lattice::gpu::stand_in
