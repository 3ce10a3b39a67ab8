#include "bench/statistics.h"

#include <algorithm>
#include <cmath>

#include "support/fail.h"

namespace lattice::bench {

double median(std::vector<double> values) {
  if (values.empty()) fail_usage("there is no median of no values");
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

double Samples::median() const {
  return bench::median(values);
}

double Samples::mad() const {
  const double center = median();
  std::vector<double> distances;
  for (const double value : values) distances.push_back(std::fabs(value - center));
  return bench::median(std::move(distances));
}

double Samples::min() const {
  return *std::ranges::min_element(values);
}

double Samples::max() const {
  return *std::ranges::max_element(values);
}

Line theil_sen(std::span<const double> x, std::span<const double> y) {
  std::vector<double> slopes;
  for (std::size_t i = 0; i < x.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (x[i] != x[j]) slopes.push_back((y[i] - y[j]) / (x[i] - x[j]));
    }
  }
  Line line;
  if (!slopes.empty()) line.slope = median(std::move(slopes));
  std::vector<double> intercepts;
  for (std::size_t i = 0; i < x.size(); ++i) intercepts.push_back(y[i] - line.slope * x[i]);
  line.intercept = median(std::move(intercepts));
  return line;
}

}  // namespace lattice::bench
