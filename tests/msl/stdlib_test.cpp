// metal_stdlib, function by function. The expressions are compiled as one kernel, in which each is an element
// of the output; what each must give stands beside it.
#include <cmath>
#include <functional>

#include <gtest/gtest.h>

#include "msl/harness.h"
#include "msl/stdlib_cases.h"

namespace lattice::msl {
namespace {

TEST(Stdlib, EveryFunctionOfOneThread) {
  const std::vector<ScalarCase> cases = scalar_cases();
  KernelFile file(parse_text("stdlib.metal", scalar_kernel(cases)));
  std::vector<float> out(cases.size());
  Dispatch(file, "conformance").buffer(0, out).grid({1, 1, 1}, {1, 1, 1}).run_and_check();
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const double want = cases[i].want;
    if (std::isnan(want)) {
      EXPECT_TRUE(std::isnan(out[i])) << cases[i].expression;
    } else if (std::isinf(want)) {
      EXPECT_EQ(out[i], static_cast<float>(want)) << cases[i].expression;
    } else {
      // Metal allows its own functions 4 ULP; the soft device calls the C library.
      EXPECT_NEAR(out[i], want, std::abs(want) * 4 * 0x1p-23) << cases[i].expression;
    }
  }
}

TEST(Stdlib, EverySimdgroupFunction) {
  const std::vector<LaneCase> cases = lane_cases();
  KernelFile file(parse_text("simd.metal", lane_kernel(cases)));
  std::vector<float> out(cases.size() * 32);
  Dispatch(file, "conformance").buffer(0, out).grid({32, 1, 1}, {32, 1, 1}).run_and_check();
  for (std::size_t i = 0; i < cases.size(); ++i) {
    for (int lane = 0; lane < 32; ++lane) {
      EXPECT_EQ(out[i * 32 + static_cast<std::size_t>(lane)], static_cast<float>(cases[i].want(lane)))
          << cases[i].expression << " in lane " << lane;
    }
  }
}

// A simdgroup whose other lanes have returned: they take no part.
TEST(Stdlib, SimdgroupFunctionsOfSomeLanes) {
  KernelFile file =
      KernelFile::of(R"(kernel void k(device float* out, uint lane [[thread_index_in_simdgroup]]) {
    if (lane % 3 != 0) return;
    out[lane] = simd_sum(float(lane)) + 1000 * popcount(uint(ulong(simd_active_threads_mask())));
    if (simd_is_first()) out[1] = simd_broadcast_first(7.0);
  })");
  std::vector<float> out(32);
  Dispatch(file, "k").buffer(0, out).grid({32, 1, 1}, {32, 1, 1}).run();
  EXPECT_EQ(out[30], 165 + 11000);
  EXPECT_EQ(out[1], 7);
}

}  // namespace
}  // namespace lattice::msl
