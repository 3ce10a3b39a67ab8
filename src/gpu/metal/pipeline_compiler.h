#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>

#include "gpu/device.h"
#include "gpu/kernel_table.h"
#include "gpu/metal/binary_archive.h"
#include "gpu/metal/metal_cpp.h"

namespace lattice::gpu::metal {

/// Apple's run-time compiler. A file of kernels is compiled when the first of its kernels is asked for, a
/// kernel for each set of function constants; what that gives is kept on disk.
class PipelineCompiler {
 public:
  /// `folder` is the archive's; nothing: none is kept.
  PipelineCompiler(MTL::Device& device, const std::optional<std::filesystem::path>& folder);

  /// Throws Error with the compiler's first messages, which name file and line, where it does not compile,
  /// and for a device whose simdgroups have not 32 lanes.
  [[nodiscard]] Owned<MTL::ComputePipelineState> compile(const FoundKernel& kernel,
                                                         std::span<const FunctionConstant> constants);

  /// A library of `source`, whose messages call it `name`. Throws Error as compile() does.
  [[nodiscard]] Owned<MTL::Library> compile_library(std::string_view name, std::string_view source);

 private:
  [[nodiscard]] Owned<MTL::Function> specialize(const FoundKernel& kernel,
                                                std::span<const FunctionConstant> constants);

  MTL::Device& device_;
  BinaryArchive archive_;
  std::map<const BuiltInKernels*, Owned<MTL::Library>> libraries_;
};

}  // namespace lattice::gpu::metal
