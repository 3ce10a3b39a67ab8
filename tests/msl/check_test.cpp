// Checking mode: a planted fault for each kind of finding, and the nearest correct kernel without one.
#include <algorithm>

#include <gtest/gtest.h>

#include "msl/harness.h"

namespace lattice::msl {
namespace {

// All faults stand in one file, so that the host compiler is called twice for all of these tests.
KernelFile& faults() {
  static KernelFile file("faults.metal");
  return file;
}

/// The findings of a kernel over `threads` threads in threadgroups of 64, with a read-write buffer of 64
/// floats at 0.
std::vector<Finding> check(const std::string& kernel, std::uint32_t threads = 64) {
  std::vector<float> data(64, 1.0f);
  return Dispatch(faults(), kernel)
      .buffer(0, data)
      .threadgroup_memory(0, 256)
      .grid({threads, 1, 1}, {64, 1, 1})
      .check();
}

/// Expects findings of this kind only, on the line that says FAULT(kernel); returns the first.
Finding expect_fault(const std::string& kernel, FindingKind kind, std::uint32_t threads = 64) {
  const std::vector<Finding> findings = check(kernel, threads);
  if (findings.empty()) {
    ADD_FAILURE() << kernel << ": no finding";
    return {};
  }
  std::uint32_t line = 1;
  const std::string& text = faults().module().sources->file(0).text;
  const std::size_t mark = text.find("FAULT(" + kernel + ")");
  line += static_cast<std::uint32_t>(
      std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(mark), '\n'));
  bool found = false;
  for (const Finding& finding : findings) {
    EXPECT_EQ(finding.kernel, kernel);
    // A race can make the result depend on the order as well.
    EXPECT_TRUE(finding.kind == kind || finding.kind == FindingKind::kOrderDependence) << finding.message();
    found =
        found || (finding.kind == kind && (kind == FindingKind::kOrderDependence ||
                                           finding.place.ends_with("faults.metal:" + std::to_string(line))));
  }
  EXPECT_TRUE(found) << kernel << ", expected on line " << line << ": " << findings.front().message();
  return findings.front();
}

TEST(Check, OutOfBoundsRead) {
  const Finding finding = expect_fault("read_past_end", FindingKind::kOutOfBoundsRead);
  EXPECT_EQ(finding.object, "buffer 0");
  EXPECT_EQ(finding.index, 64);
  EXPECT_EQ(finding.thread[0], 63u);
}
TEST(Check, OutOfBoundsWrite) {
  EXPECT_EQ(expect_fault("write_past_end", FindingKind::kOutOfBoundsWrite, 128).threadgroup[0], 1u);
}
TEST(Check, OutOfBoundsFarAwayEndsTheThreadgroup) {
  expect_fault("read_far_away", FindingKind::kOutOfBoundsRead);
}
TEST(Check, OutOfBoundsBeforeTheBuffer) {
  expect_fault("read_before", FindingKind::kOutOfBoundsRead);
}
TEST(Check, NullBuffer) {
  expect_fault("read_null", FindingKind::kOutOfBoundsRead);
}
TEST(Check, OutOfBoundsInThreadgroupMemory) {
  EXPECT_EQ(expect_fault("threadgroup_past_end", FindingKind::kOutOfBoundsWrite).object,
            "threadgroup variable shared");
  EXPECT_EQ(expect_fault("bound_memory_past_end", FindingKind::kOutOfBoundsWrite).object,
            "threadgroup memory 0");
}
TEST(Check, UninitialisedRead) {
  expect_fault("uninitialised", FindingKind::kUninitializedRead);
}
TEST(Check, UninitialisedReadByCompoundAssignment) {
  expect_fault("uninitialised_add", FindingKind::kUninitializedRead);
}
TEST(Check, RaceInThreadgroupMemory) {
  expect_fault("missing_barrier", FindingKind::kDataRace);
}
TEST(Check, RaceWhereTheBarrierNamesOtherMemory) {
  expect_fault("wrong_flags", FindingKind::kDataRace);
}
TEST(Check, RaceAcrossSimdgroups) {
  expect_fault("simdgroup_barrier_only", FindingKind::kDataRace);
}
TEST(Check, RaceInDeviceMemory) {
  expect_fault("device_race", FindingKind::kDataRace);
}
TEST(Check, RaceBetweenThreadgroups) {
  expect_fault("threadgroup_race", FindingKind::kDataRace, 128);
}
TEST(Check, RaceOfAtomicAndPlainAccess) {
  expect_fault("half_atomic", FindingKind::kDataRace);
}
TEST(Check, RaceAfterReading) {
  expect_fault("write_after_read", FindingKind::kDataRace);
}
TEST(Check, RaceInAStructCopy) {
  expect_fault("struct_race", FindingKind::kDataRace);
}
TEST(Check, DivergentBarrierAfterReturn) {
  expect_fault("barrier_after_return", FindingKind::kDivergentBarrier);
}
TEST(Check, DivergentBarrierInABranch) {
  expect_fault("barrier_in_branch", FindingKind::kDivergentBarrier);
}
TEST(Check, DivergentSimdgroupOperation) {
  expect_fault("simd_in_branch", FindingKind::kDivergentOperation);
}
TEST(Check, OrderDependence) {
  expect_fault("order_dependent", FindingKind::kOrderDependence);
}

TEST(Check, TheSameWithoutTheFault) {
  for (const char* kernel : {"fine_exchange", "fine_simdgroup_exchange", "fine_device_exchange",
                             "fine_return", "fine_branch", "fine_atomics", "fine_bytes"}) {
    for (const Finding& finding : check(kernel)) ADD_FAILURE() << finding.message();
  }
}

TEST(Check, TooMuchThreadgroupMemoryIsAnError) {
  std::vector<float> data(64);
  EXPECT_THROW((void)Dispatch(faults(), "fine_exchange")
                   .buffer(0, data)
                   .threadgroup_memory(0, 32768)
                   .grid({64, 1, 1}, {64, 1, 1})
                   .check(),
               Error);
}

TEST(Check, FastModeSurvivesDivergence) {
  std::vector<float> data(64, 1.0f);
  Dispatch(faults(), "simd_in_branch").buffer(0, data).grid({64, 1, 1}, {64, 1, 1}).run();
  EXPECT_EQ(data[3], 16.0f);  // the sixteen lanes of the branch
  EXPECT_EQ(data[20], 1.0f);
  Dispatch(faults(), "barrier_after_return").buffer(0, data).grid({64, 1, 1}, {64, 1, 1}).run();
}

}  // namespace
}  // namespace lattice::msl
