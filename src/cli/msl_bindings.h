#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "msl/module.h"
#include "msl/soft/dispatch.h"
#include "msl/soft/soft_module.h"

// What `lattice msl run` takes for buffers, constants and sizes, from text. Everything here throws
// Error(kUsage) with a sentence that names the flag, except for what stands in a file.

namespace lattice::cli {

/// A buffer of `lattice msl run`.
struct KernelBuffer {
  std::uint32_t index = 0;
  std::string type;  ///< f32, u8, …
  std::vector<std::uint64_t> shape;
  std::vector<std::byte> data;
  bool written = false;  ///< to a file afterwards
};

/// `0=in.npy`, `0=inout:in.npy`, `1=out:f32[16,1024]` (zeros to begin with), `2=u32:7` or `2=f32:1,2.5`.
[[nodiscard]] KernelBuffer parse_buffer(std::string_view text);

/// Writes a buffer as .npy; bf16, which NumPy has not, as float32.
void write_buffer(const std::filesystem::path& path, const KernelBuffer& buffer);

/// `64`, `64,4` or `64,4,2`.
[[nodiscard]] msl::Size3 parse_size(std::string_view flag, std::string_view text);

/// `index=value` of a function constant, by the type that the module declares.
[[nodiscard]] msl::ConstantValue parse_constant(const msl::Module& module, std::string_view text);

/// `index=bytes`.
[[nodiscard]] std::pair<std::uint32_t, std::uint32_t> parse_threadgroup_memory(std::string_view text);

/// "f32[16,1024]".
[[nodiscard]] std::string describe(const KernelBuffer& buffer);

}  // namespace lattice::cli
