#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gpu/device.h"
#include "msl/module.h"
#include "msl/stdlib/soft/abi.h"

namespace lattice::gpu {

/// A buffer of a kernel, as its parameter list declares it.
struct KernelParameter {
  std::string name;
  std::uint32_t place;   ///< in the parameter list
  std::uint32_t index;   ///< of the buffer
  bool writable;         ///< a `device` buffer that is not const
  bool takes_constants;  ///< in the address space `constant`: a dispatch may give the bytes themselves
  bool by_value;         ///< a `constant T&`: a dispatch must give the bytes
};

struct KernelSignature {
  std::string name;
  std::uint32_t max_threads;                ///< of a threadgroup; 0: as many as the device takes
  std::vector<KernelParameter> parameters;  ///< in the order of their indices
};

/// A file of kernels, as the program carries it.
struct BuiltInKernels {
  std::string_view name;               ///< "gemv"
  const soft::ModuleInfo* (*entry)();  ///< compiled for the soft device; the sizes of types hold everywhere
  std::string_view cuda;               ///< what emit_cuda() wrote
  std::string_view metal;              ///< what metal::inlined_source() wrote
  std::vector<KernelSignature> signatures;  ///< in the order of Module::kernels
};

/// The files of src/gpu/kernels. Written at build time, see translate_kernels.cpp.
[[nodiscard]] const std::vector<BuiltInKernels>& built_in_kernels();

/// A kernel among the built-in files.
struct FoundKernel {
  const BuiltInKernels* file;
  std::size_t place;  ///< in file->signatures
  const soft::KernelInfo* info;
};
/// Throws Error(kUsage) for a name or a function constant that no file has.
[[nodiscard]] FoundKernel find_kernel(const std::vector<BuiltInKernels>& files, std::string_view name,
                                      std::span<const FunctionConstant> constants);

/// What a translated file declares.
[[nodiscard]] std::vector<KernelSignature> signatures_of(const msl::Module& module);

}  // namespace lattice::gpu
