// The CUDA device as far as it goes without one: what is said where it is missing, and that every kernel
// compiles. What runs on a device is in conformance_test.cpp.
#include <filesystem>

#include <gtest/gtest.h>
#include <unistd.h>

#include "gpu/cuda/cuda_device.h"
#include "gpu/decode_step.h"
#include "gpu/kernel_table.h"
#include "gpu/kernels/kernel_args.h"
#include "lattice/error.hpp"

namespace lattice::gpu {
namespace {

TEST(CudaDevice, SaysWhatIsMissing) {
  const cuda::DriverOrReason opened = cuda::open_driver("libcuda-that-nobody-has.so.1");
  EXPECT_FALSE(opened.driver.has_value());
  EXPECT_EQ(opened.reason, "libcuda-that-nobody-has.so.1 was not found: the NVIDIA driver is not installed");
  // A library that is there, and has none of the functions.
  const cuda::DriverOrReason other = cuda::open_driver("libc.so.6");
  EXPECT_FALSE(other.driver.has_value());
  EXPECT_NE(other.reason.find("is the oldest that serves"), std::string::npos) << other.reason;
}

TEST(CudaDevice, IsEitherDescribedOrAbsentForAReason) {
  EXPECT_NE(cuda_description().empty(), cuda_absence().empty());
  if (cuda_absence().empty()) return;
  try {
    const CudaDevice device;
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.what(), "cuda: " + cuda_absence());
  }
}

/// Compiles for one architecture, without a cache unless a test gives one.
cuda::KernelCompiler compiler(cuda::Capability capability = {9, 0},
                              cuda::CubinCache cache = cuda::CubinCache(std::nullopt)) {
  return {capability, 13'000, std::move(cache)};
}

cuda::CompiledKernel compile(const cuda::KernelCompiler& with, std::string_view name,
                             const std::vector<FunctionConstant>& constants) {
  const FoundKernel found = find_kernel(built_in_kernels(), name, constants);
  return with.compile({found.file->cuda, found.place, constants});
}

std::vector<FunctionConstant> gdn_constants(std::uint32_t simdgroups, std::uint32_t vectors) {
  return {{LATTICE_FC_SIMDGROUPS, simdgroups},
          {LATTICE_FC_VECTORS, vectors},
          {LATTICE_FC_TAPS, 4},
          {LATTICE_FC_K_HEADS, 16},
          {LATTICE_FC_V_HEADS, 32},
          {LATTICE_FC_HEAD_PARTS, 4},
          {LATTICE_FC_TO_PLANES, LATTICE_PLANES_BYTES}};
}

class CudaCompiler : public testing::Test {
 protected:
  void SetUp() override {
    if (!cuda::nvrtc_absence().empty()) GTEST_SKIP() << cuda::nvrtc_absence();
  }
};

constexpr DType kFormats[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_0};

TEST_F(CudaCompiler, TakesEveryGemvThatIsChosen) {
  const cuda::KernelCompiler with = compiler();
  for (const DType type : kFormats) {
    for (const std::uint32_t rows : {32u, 1024u, 248320u}) {
      const DeviceMatrix matrix = shaped_matrix(type, rows, rows == 1024 ? 12288 : 1024, /*tiled=*/true);
      const GemvShape shape = choose_gemv_shape(132, matrix);
      GemvForm form{.norm = rows != 1024,
                    .from_planes = matrix.is_tiled() && rows != 32,
                    .epilogue = std::uint32_t(rows == 1024 ? LATTICE_EPILOGUE_ADD : LATTICE_EPILOGUE_SWIGLU)};
      if (leaves_planes(shape, matrix, form.epilogue)) form.to_planes = planes_for(matrix);
      const auto compiled =
          compile(with, gemv_kernel(shape, type, form), gemv_constants(shape, matrix, form));
      EXPECT_GT(compiled.image.size(), 1000u);
      EXPECT_TRUE(compiled.waits);
    }
    EXPECT_FALSE(compile(with, "embed_" + kernel_suffix(type), {}).waits);
  }
}

TEST_F(CudaCompiler, TakesTheMixersForEveryReleasedShape) {
  for (const cuda::Capability capability : {cuda::Capability{8, 0}, cuda::Capability{9, 0}}) {
    const cuda::KernelCompiler with = compiler(capability);
    EXPECT_EQ(compile(with, "gdn_step", gdn_constants(16, 32)).waits, capability.major >= 9);
    for (const std::uint32_t group : {4u, 6u}) {
      std::vector<FunctionConstant> constants = {{LATTICE_FC_SIMDGROUPS, 8},
                                                 {LATTICE_FC_GROUP, group},
                                                 {LATTICE_FC_LANE_DIMS, 8},
                                                 {LATTICE_FC_ROTARY, 64},
                                                 {LATTICE_FC_TO_PLANES, LATTICE_PLANES_NIBBLES}};
      for (const char* name : {"attention_decode_f32", "attention_decode_f16", "attention_merge"}) {
        EXPECT_GT(compile(with, name, constants).image.size(), 1000u);
      }
      constants.push_back({LATTICE_FC_QUERIES, 4});
      for (const std::uint32_t queries : {1u, 4u}) {
        constants.back().value = queries;
        EXPECT_GT(compile(with, "attention_decode_halves", constants).image.size(), 1000u);
      }
    }
  }
}

/// A device newer than the compiler gets PTX, which its driver compiles.
TEST_F(CudaCompiler, WritesPtxForArchitecturesThatItDoesNotKnow) {
  EXPECT_NE(compile(compiler({99, 0}), "embed_f32", {}).image.find(".version"), std::string::npos);
}

TEST_F(CudaCompiler, KeepsWhatItCompiled) {
  const auto folder =
      std::filesystem::temp_directory_path() / ("lattice-kernels-" + std::to_string(getpid()));
  const cuda::CubinCache cache{folder};
  const std::vector<FunctionConstant> constants = gdn_constants(8, 4);
  const auto fresh = compile(compiler({9, 0}, cache), "gdn_step", constants);
  const auto kept = compile(compiler({9, 0}, cache), "gdn_step", constants);
  EXPECT_FALSE(fresh.is_cached);
  EXPECT_TRUE(kept.is_cached);
  EXPECT_EQ(kept.image, fresh.image);
  EXPECT_EQ(kept.waits, fresh.waits);
  EXPECT_FALSE(compile(compiler({8, 0}, cache), "gdn_step", constants).is_cached);
  EXPECT_FALSE(compile(compiler({9, 0}, cache), "gdn_step", gdn_constants(4, 4)).is_cached);
  std::filesystem::remove_all(folder);
}

TEST_F(CudaCompiler, SaysWhatDoesNotCompile) {
  try {
    (void)compiler().compile({"__global__ void kernel_0() { missing(); }", 0, {}});
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("missing"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace lattice::gpu
