#include "msl/builtin.h"

#include <algorithm>
#include <array>

namespace lattice::msl {
namespace {

// Metal Shading Language Specification, "Attributes for Kernel Function Input Arguments". The `dispatch_`
// sizes are those asked for; without the prefix they are the threadgroup's own, smaller at the edge of a
// grid.
constexpr std::array<Builtin, 20> kBuiltins = {{
    {"thread_position_in_grid", "position_in_grid", true},
    {"thread_position_in_threadgroup", "position_in_threadgroup", true},
    {"thread_index_in_threadgroup", "index_in_threadgroup", false},
    {"threadgroup_position_in_grid", "threadgroup_position", true},
    {"threads_per_grid", "threads_per_grid", true},
    {"grid_size", "threads_per_grid", true},
    {"grid_origin", "grid_origin", true},
    {"threads_per_threadgroup", "threads_per_threadgroup", true},
    {"dispatch_threads_per_threadgroup", "dispatch_threads_per_threadgroup", true},
    {"threadgroups_per_grid", "threadgroups_per_grid", true},
    {"thread_index_in_simdgroup", "lane", false},
    {"simdgroup_index_in_threadgroup", "simdgroup", false},
    {"simdgroups_per_threadgroup", "simdgroups", false},
    {"dispatch_simdgroups_per_threadgroup", "dispatch_simdgroups", false},
    {"threads_per_simdgroup", "simd_width", false},
    {"thread_execution_width", "simd_width", false},
    {"thread_index_in_quadgroup", "quad_lane", false},
    {"quadgroup_index_in_threadgroup", "quadgroup", false},
    {"quadgroups_per_threadgroup", "quadgroups", false},
    {"dispatch_quadgroups_per_threadgroup", "dispatch_quadgroups", false},
}};

}  // namespace

std::optional<Builtin> find_builtin(std::string_view attribute) {
  const auto* found = std::find_if(kBuiltins.begin(), kBuiltins.end(),
                                   [&](const Builtin& builtin) { return builtin.attribute == attribute; });
  if (found == kBuiltins.end()) return std::nullopt;
  return *found;
}

}  // namespace lattice::msl
