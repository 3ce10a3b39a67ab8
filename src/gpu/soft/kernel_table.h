#pragma once

#include <cstdint>
#include <string>
#include <vector>

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
};

struct KernelSignature {
  std::string name;
  std::uint32_t max_threads;                ///< of a threadgroup; 0: as many as the device takes
  std::vector<KernelParameter> parameters;  ///< in the order of their indices
};

/// A file of kernels that was compiled into the program.
struct BuiltInKernels {
  const soft::ModuleInfo* (*entry)();
  std::vector<KernelSignature> signatures;
};

/// The files of src/gpu/kernels. Written at build time, see translate_kernels.cpp.
[[nodiscard]] const std::vector<BuiltInKernels>& built_in_kernels();

/// What a translated file declares.
[[nodiscard]] std::vector<KernelSignature> signatures_of(const msl::Module& module);

}  // namespace lattice::gpu
