#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "msl/module.h"

namespace lattice::msl {

/// C++ for the soft device: a translation unit that the host compiler takes with src/msl/stdlib on its
/// include path and the options of soft_compile_options(). It defines `extern "C" const ModuleInfo*
/// <entry>()` (soft/abi.h). Throws Error for what the target cannot express.
[[nodiscard]] std::string emit_soft(const Module& module, std::string_view entry = "lattice_module");

/// Whether a buffer's contents are passed by value on CUDA: a `constant T&`, which takes a dispatch's own
/// bytes.
[[nodiscard]] bool is_by_value(const Parameter& parameter) noexcept;

/// CUDA C++ for NVRTC, with src/msl/stdlib as headers and the options of cuda_compile_options(). Every kernel
/// is an `extern "C" __global__` function called kernel_<n> (n: its place in Module::kernels), whose
/// parameters are the kernel's buffers in the order of its parameter list (pointers, or the value itself
/// where is_by_value()), then one byte offset into dynamic shared memory for each [[threadgroup(n)]]
/// parameter, then the grid's size in threads as three unsigned. Macros that the text asks for:
///   LATTICE_FC_<index>          a function constant's value; undefined where the constant is
///   LATTICE_KERNEL              n: only kernel_<n> is compiled
///   LATTICE_WHOLE_THREADGROUPS  the grid is a multiple of the threadgroup's size
[[nodiscard]] std::string emit_cuda(const Module& module);

/// NVRTC's options for what emit_cuda() writes; --gpu-architecture is the lowest that serves.
[[nodiscard]] std::vector<std::string> cuda_compile_options();

}  // namespace lattice::msl
