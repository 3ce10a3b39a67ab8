#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "msl/module.h"
#include "msl/soft/dispatch.h"
#include "msl/soft/finding.h"
#include "msl/soft/host_compiler.h"
#include "support/thread_pool.h"

namespace lattice::msl {

/// The value of a function constant: as many bytes as its type has.
struct ConstantValue {
  std::uint32_t index;
  std::vector<std::byte> bytes;
};

/// A buffer of a dispatch that is checked.
struct BoundBuffer {
  std::uint32_t index = 0;
  std::string name;
  std::span<std::byte> data;
  std::size_t element_bytes = 1;  ///< of what the kernel takes it to hold, for indices in messages
};

/// Kernels compiled for the soft device. Launches of one module must not overlap: function constants are the
/// module's.
class SoftModule {
 public:
  /// Compiles and loads; throws Error as compile_soft() does. The code runs in this process, with all its
  /// rights.
  static SoftModule compile(const Module& module, const CompileOptions& options);
  /// Takes on what was compiled into the program: `info` is what the emitted entry function returns.
  explicit SoftModule(const soft::ModuleInfo& info);
  ~SoftModule();
  SoftModule(SoftModule&& other) noexcept;
  SoftModule& operator=(SoftModule&&) = delete;
  SoftModule(const SoftModule&) = delete;

  /// Throws Error where there is no such kernel.
  [[nodiscard]] const soft::KernelInfo& kernel(std::string_view name) const;

  /// Bytes of a function constant; 0 where the module has no such index.
  [[nodiscard]] std::size_t constant_bytes(std::uint32_t index) const noexcept;

  /// Defines these function constants, and no others. Throws Error(kUsage) for an index that the module has
  /// not and for a value of the wrong size.
  void specialize(std::span<const ConstantValue> values);

  /// Runs every threadgroup of a grid, spread over the pool. Buffers must be bound to memory that is large
  /// enough.
  void dispatch(const Launch& launch, ThreadPool& pool) const;

  /// Runs a grid in checking mode `orders` times, first in order and then with threads, threadgroups and
  /// switches shuffled, on one thread; leaves the first run's results in the buffers and returns what is
  /// wrong. The module must be compiled with CompileOptions::checked for accesses to be seen. launch.buffers
  /// is ignored.
  [[nodiscard]] std::vector<Finding> check(const Launch& launch, std::span<const BoundBuffer> buffers,
                                           int orders) const;

 private:
  SoftModule(void* handle, const soft::ModuleInfo& info);

  void* handle_ = nullptr;  // of dlopen, or null
  const soft::ModuleInfo* info_;
  std::filesystem::path path_;
};

/// Throws Error(kUsage) where a grid or its threadgroups are empty, too large for Metal (1024 threads a
/// threadgroup) or for the soft device (2^32 − 1 threadgroups).
void validate(const Grid& grid);

}  // namespace lattice::msl
