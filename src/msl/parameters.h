#pragma once

#include <map>
#include <set>
#include <string_view>
#include <vector>

#include "msl/module.h"

namespace lattice::msl {

/// What the rest of the file says about names that a parameter list may use.
struct ParameterNames {
  std::map<std::string_view, std::uint32_t> constants;  ///< enumerators and integer constants, for indices
  std::set<std::string_view> structs_with_pointers;     ///< argument buffers, which are refused
};

/// Reads the parameter list between the parentheses of a kernel. Buffers without an index get the next that
/// is free, as Metal gives them. Throws Error for what no target can bind.
[[nodiscard]] std::vector<Parameter> parse_parameters(const Module& module, TokenRange list,
                                                      const ParameterNames& names);

}  // namespace lattice::msl
