// What Apple's compiler is given: the kernels' own text, line for line.

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "gpu/kernel_table.h"
#include "gpu/metal/device_pick.h"
#include "gpu/metal/pipeline_compiler.h"
#include "gpu/metal/stand_in/machine.h"
#include "lattice/error.hpp"

namespace lattice::gpu {
namespace {

std::vector<std::string> lines_of(std::istream&& in) {
  std::vector<std::string> out;
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

const std::string& line_of_kernels(const std::string& file, std::size_t number) {
  static std::map<std::string, std::vector<std::string>> files;
  std::vector<std::string>& lines = files[file];
  if (lines.empty()) {
    lines = lines_of(std::ifstream(std::filesystem::path(LATTICE_SOURCE_DIR) / "src/gpu/kernels" / file));
  }
  static const std::string none = "(no such line)";
  return number >= 1 && number <= lines.size() ? lines[number - 1] : none;
}

TEST(MetalSource, StandsInTheLinesThatItSays) {
  ASSERT_GE(built_in_kernels().size(), 15u);
  for (const BuiltInKernels& kernels : built_in_kernels()) {
    std::string file;
    std::size_t number = 0;
    int compared = 0;
    for (const std::string& line : lines_of(std::istringstream(std::string(kernels.metal)))) {
      if (line.starts_with("#line ")) {
        number = std::stoul(line.substr(6));
        file = line.substr(line.find('"') + 1);
        file.pop_back();
        continue;
      }
      const std::string& original = line_of_kernels(file, number);
      const bool is_left_out = original.starts_with("#include \"") || original.starts_with("#pragma once");
      EXPECT_EQ(line, is_left_out ? "" : original) << file << ':' << number;
      ++number;
      ++compared;
    }
    EXPECT_GT(compared, 10) << kernels.name;
    EXPECT_EQ(kernels.metal.find("#include \""), std::string_view::npos) << kernels.name;
  }
}

TEST(MetalSource, CompilesAndGivesTheSameKernels) {
  const metal::Owned<MTL::Device> device = metal::pick_device().device;
  metal::PipelineCompiler compiler(*device, std::nullopt);
  for (const BuiltInKernels& file : built_in_kernels()) {
    EXPECT_NE(compiler.compile_library(file.name, file.metal), nullptr);
  }
  EXPECT_EQ(stand_in::machine().libraries_from_built_in, static_cast<int>(built_in_kernels().size()));
}

TEST(MetalSource, ErrorsNameFileAndLine) {
  const metal::Owned<MTL::Device> device = metal::pick_device().device;
  metal::PipelineCompiler compiler(*device, std::nullopt);
  try {
    (void)compiler.compile_library("broken",
                                   "#include <metal_stdlib>\n#line 7 \"part.h\"\n\n"
                                   "kernel void f(texture2d<float> t [[texture(0)]]) {}\n");
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("metal: broken.metal does not compile: part.h:8:"),
              std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace lattice::gpu
