#pragma once

#include <span>
#include <vector>

namespace lattice::bench {

/// Several measurements of one thing. Seconds, unless said otherwise.
struct Samples {
  std::vector<double> values;  ///< in the order in which they were taken; at least one

  [[nodiscard]] double median() const;
  /// The median distance from the median: half of the values lie nearer.
  [[nodiscard]] double mad() const;
  [[nodiscard]] double min() const;
  [[nodiscard]] double max() const;
};

/// The median; of an even number of values, the mean of the middle two. Throws Error(kUsage) for none.
[[nodiscard]] double median(std::vector<double> values);

struct Line {
  double intercept = 0;
  double slope = 0;
};

/// The line through the points (x, y) by Theil and Sen: the slope is the median of the slopes of all pairs
/// with different x, the intercept the median of y − slope · x. One measurement that was disturbed does not
/// move it. Both spans are equally long. With fewer than two different x the slope is 0.
[[nodiscard]] Line theil_sen(std::span<const double> x, std::span<const double> y);

}  // namespace lattice::bench
