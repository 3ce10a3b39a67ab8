#pragma once

#include <optional>
#include <string_view>

namespace lattice::msl {

/// A value that a kernel's parameter can ask for by attribute.
struct Builtin {
  std::string_view attribute;  ///< as MSL names it
  std::string_view field;      ///< as the targets' thread state names it
  bool vector;                 ///< of three parts, or one number
};

/// Nothing where MSL has no such attribute, or none that means anything in a compute kernel.
[[nodiscard]] std::optional<Builtin> find_builtin(std::string_view attribute);

}  // namespace lattice::msl
