#pragma once

#include <cstdint>

#include "msl/stdlib/soft/abi.h"

namespace lattice::msl {

/// How far a thread has come through barriers, counted apart for device memory [0] and threadgroup memory
/// [1]: a barrier orders only the memory that its flags name.
struct Epochs {
  std::uint32_t barrier[2] = {};
  std::uint32_t simdgroup[2] = {};
};

/// The thread that runs, for whoever watches.
struct RunningThread {
  const soft::ThreadState* state;
  std::uint32_t threadgroup;  ///< its place in the grid, x fastest
  const Epochs* epochs;
};

/// Watches a threadgroup run. The scheduler calls it on the thread that runs the threadgroup.
class Observer {
 public:
  virtual ~Observer() = default;
  /// A memory access is about to happen. False ends the threadgroup: the access must not be made.
  virtual bool access(const RunningThread& thread, std::uint64_t address, std::uint64_t bytes,
                      soft::AccessKind kind, const void* code) = 0;
  /// A threadgroup variable (or bound threadgroup memory) has come to lie at `address`.
  virtual void variable(const void* address, std::uint64_t bytes, std::uint32_t id) = 0;
  /// `reached` of `live` lanes came to a simdgroup operation, the others being elsewhere.
  virtual void divergent_group(const RunningThread& thread, const char* operation, soft::Site site,
                               unsigned reached, unsigned live) = 0;
  /// A barrier released its threads though `left` of them had returned, or though they wait on different
  /// lines.
  virtual void divergent_barrier(const RunningThread& thread, soft::Site site, unsigned left,
                                 bool several_lines) = 0;
};

}  // namespace lattice::msl
