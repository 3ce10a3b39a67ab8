// `lattice msl`, as a user runs it.
#include <cstring>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "cli/harness.h"
#include "formats/npy.h"
#include "gpu/cuda/cuda_device.h"

namespace lattice::test {
namespace {

namespace fs = std::filesystem;

class Msl : public testing::Test {
 protected:
  void SetUp() override {
    std::vector<float> values(64);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
    const std::vector<std::uint64_t> shape = {64};
    write_npy(directory_ / "in.npy", "<f4", shape, std::as_bytes(std::span(values)));
  }

  Finished run(std::vector<std::string> more) {
    std::vector<std::string> arguments = {"msl",
                                          "run",
                                          kernels_ + "vector_add.metal",
                                          "--kernel",
                                          "vector_add",
                                          "--grid",
                                          "64",
                                          "--threadgroup",
                                          "32",
                                          "--output",
                                          directory_.string(),
                                          "--buffer",
                                          "0=" + input(),
                                          "--buffer",
                                          "1=" + input()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_lattice(arguments);
  }
  [[nodiscard]] std::string input() const { return (directory_ / "in.npy").string(); }

  std::string kernels_ = std::string(LATTICE_SOURCE_DIR) + "/tests/data/msl/";
  TemporaryFolder folder_;
  const fs::path& directory_ = folder_.path();
};

TEST_F(Msl, RunsAKernelOverFiles) {
  const Finished finished = run({"--buffer", "2=out:f32[64]", "--buffer", "3=u32:64"});
  EXPECT_EQ(finished.status, 0) << finished.error;
  const NpyArray out = read_npy(directory_ / "buffer2.npy");
  ASSERT_EQ(out.data.size(), 256u);
  float value = 0;
  std::memcpy(&value, out.data.data() + 4 * 63, 4);
  EXPECT_EQ(value, 126);
}

TEST_F(Msl, ChecksAKernel) {
  EXPECT_EQ(run({"--buffer", "2=out:f32[64]", "--buffer", "3=u32:64", "--check"}).status, 0);
  const Finished finished = run({"--buffer", "2=out:f32[63]", "--buffer", "3=u32:64", "--check", "--json"});
  EXPECT_EQ(finished.status, 1);
  EXPECT_EQ(finished.json()["findings"][0]["kind"], "out-of-bounds write");
  EXPECT_EQ(finished.json()["findings"][0]["index"], 63);
}

TEST_F(Msl, SaysWhatIsWrongWithItsArguments) {
  const auto expect_usage = [&](const std::vector<std::string>& more, const std::string& what) {
    const Finished finished = run(more);
    EXPECT_EQ(finished.status, 2) << finished.error;
    EXPECT_NE(finished.error.find(what), std::string::npos) << finished.error;
  };
  expect_usage({"--buffer", "2=out:f32[64]"}, "--buffer 3=");
  expect_usage({"--buffer", "2=out:f33[64]", "--buffer", "3=u32:64"}, "is no type");
  expect_usage({"--buffer", "2=out:f32[0]", "--buffer", "3=u32:64"}, "--buffer");
  expect_usage({"--buffer", "2=out:f32[64]", "--buffer", "3=u8:64"}, "has 1 bytes");
  expect_usage({"--buffer", "2=out:f32[64]", "--buffer", "3=u32:64", "--buffer", "4=u32:64"},
               "no such buffer");
  expect_usage({"--buffer", "2=out:f32[64]", "--buffer", "3=u32:64", "--constant", "0=1"},
               "no function constant");
  expect_usage({"--threadgroups", "2"}, "--grid");
  expect_usage({"--time"}, "--time needs --device cuda");
  expect_usage({"--check", "--device", "cuda"}, "leave --device out");
  expect_usage({"--device", "metal"}, "--device");
}

/// Where there is an NVIDIA device the results are those of the soft one; elsewhere it is said what is
/// missing.
TEST_F(Msl, RunsAndTimesAKernelOnCudaOrSaysWhyNot) {
  const std::vector<std::string> buffers = {"--buffer", "2=out:f32[64]", "--buffer", "3=u32:64"};
  std::vector<std::string> arguments = buffers;
  arguments.insert(arguments.end(), {"--device", "cuda", "--time", "--replays", "3", "--json"});
  const Finished finished = run(arguments);
  if (!gpu::cuda_absence().empty()) {
    EXPECT_EQ(finished.status, 1);
    EXPECT_NE(finished.error.find("cuda: " + gpu::cuda_absence()), std::string::npos) << finished.error;
    return;
  }
  ASSERT_EQ(finished.status, 0) << finished.error;
  const auto time = finished.json()["time"];
  EXPECT_GT(time["seconds"]["median"].get<double>(), 0);
  EXPECT_EQ(time["replays"], 3);
  EXPECT_EQ(time["bytes"], 3 * 256 + 4);
  const NpyArray on_cuda = read_npy(directory_ / "buffer2.npy");
  ASSERT_EQ(run(buffers).status, 0);
  EXPECT_EQ(on_cuda.data, read_npy(directory_ / "buffer2.npy").data);
}

TEST_F(Msl, ReflectsAndRefuses) {
  EXPECT_EQ(run_lattice({"msl", "reflect", kernels_ + "attention.metal"}).json()["function_constants"].size(),
            2u);
  const fs::path bad = directory_ / "bad.metal";
  std::ofstream(bad) << "\nkernel void k(texture2d<float> t) {}\n";
  const Finished finished = run_lattice({"msl", "check", bad.string(), kernels_ + "vector_add.metal"});
  EXPECT_EQ(finished.status, 1);
  EXPECT_NE(finished.out.find("bad.metal:2: textures"), std::string::npos) << finished.out;
  EXPECT_NE(finished.out.find("2 kernels"), std::string::npos) << finished.out;
}

}  // namespace
}  // namespace lattice::test
