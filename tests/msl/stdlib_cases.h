#pragma once

#include <functional>
#include <string>
#include <vector>

namespace lattice::msl {

/// An expression of MSL and the value that it must have, as a float.
struct ScalarCase {
  std::string expression;
  double want;
};
[[nodiscard]] std::vector<ScalarCase> scalar_cases();
/// One kernel, `conformance`, that writes every expression's value to buffer 0.
[[nodiscard]] std::string scalar_kernel(const std::vector<ScalarCase>& cases);

/// An expression of `lane` and the value that it must have in each lane of a full simdgroup.
struct LaneCase {
  std::string expression;
  std::function<double(int lane)> want;
};
[[nodiscard]] std::vector<LaneCase> lane_cases();
/// The same, element case · 32 + lane.
[[nodiscard]] std::string lane_kernel(const std::vector<LaneCase>& cases);

}  // namespace lattice::msl
