#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cpu/cpu_backend.h"
#include "cpu/isa.h"

// Every kernel runs once for every instruction set that this processor has, on inputs that are new each time.

namespace lattice::cpu {

/// The relative error of one rounding to float.
constexpr double kRounding = 0x1p-24;

/// A bound on |float sum − exact sum| of `terms` products, in whatever order they are added and whether or
/// not multiplied and added at once: each term passes through at most `terms` + 1 roundings (Higham, Accuracy
/// and Stability of Numerical Algorithms, §3.1), and underflow may lose a smallest number each time.
inline double sum_error(double sum_of_magnitudes, std::int64_t terms) {
  const double roundings = static_cast<double>(terms + 1);
  return roundings * kRounding / (1 - roundings * kRounding) * sum_of_magnitudes +
         roundings * static_cast<double>(std::numeric_limits<float>::min());
}

class KernelTest : public testing::TestWithParam<Isa> {
 protected:
  KernelTest() {
    const char* chosen = std::getenv("LATTICE_TEST_SEED");
    seed_ = chosen != nullptr ? static_cast<std::uint32_t>(std::strtoul(chosen, nullptr, 10))
                              : std::random_device{}();
    random_.seed(seed_);
    trace_.emplace(__FILE__, __LINE__, "LATTICE_TEST_SEED=" + std::to_string(seed_));
  }

  [[nodiscard]] static const Kernels& kernels() { return kernels_of(GetParam()); }

  float uniform(float low, float high) { return std::uniform_real_distribution<float>(low, high)(random_); }
  std::int64_t whole(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random_);
  }
  std::vector<float> floats(std::int64_t n, float low = -1.0f, float high = 1.0f) {
    std::vector<float> out(static_cast<std::size_t>(n));
    for (float& x : out) x = uniform(low, high);
    return out;
  }

 private:
  std::uint32_t seed_ = 0;
  std::mt19937 random_;
  std::optional<testing::ScopedTrace> trace_;  // every failure names the seed
};

inline std::string kernel_test_name(const testing::TestParamInfo<Isa>& info) {
  return std::string(isa_name(info.param));
}

}  // namespace lattice::cpu
