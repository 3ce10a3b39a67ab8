// What the soft device and a compiled kernel file know of each other. Both include this header; the kernel side
// has no standard library, so that only the language itself is used here.
#pragma once

namespace lattice::soft {

inline constexpr unsigned kSimdWidth = 32;
inline constexpr unsigned kQuadWidth = 4;
inline constexpr unsigned kMaxThreads = 1024;  // of a threadgroup, as on Apple's GPUs
inline constexpr unsigned kSlotBytes = 32;     // the largest value that a simdgroup operation carries: ulong4

enum Scope : unsigned { kSimdScope, kQuadScope };

// Metal's mem_flags, by the same bits on both sides.
enum MemoryFlags : unsigned { kNoMemory = 0, kDeviceMemory = 1, kThreadgroupMemory = 2 };

// An atomic load counts as kAtomic too; a store does not depend on what was there.
enum AccessKind : unsigned { kRead, kWrite, kAtomic, kAtomicStore };

/// Where in the MSL source an operation stands.
struct Site {
  const char* file;
  unsigned line;
};

/// What one GPU thread is told about itself, by the names of msl/builtin.cpp.
struct ThreadState {
  unsigned position_in_grid[3];
  unsigned position_in_threadgroup[3];
  unsigned threadgroup_position[3];
  unsigned threads_per_grid[3];
  unsigned grid_origin[3];
  unsigned threads_per_threadgroup[3];
  unsigned dispatch_threads_per_threadgroup[3];
  unsigned threadgroups_per_grid[3];
  unsigned index_in_threadgroup;
  unsigned lane;
  unsigned simdgroup;
  unsigned simdgroups;
  unsigned dispatch_simdgroups;
  unsigned simd_width;
  unsigned quad_lane;
  unsigned quadgroup;
  unsigned quadgroups;
  unsigned dispatch_quadgroups;
  void* const* buffers;             // by [[buffer(n)]]; null where none is bound
  void* const* threadgroup_memory;  // by [[threadgroup(n)]]
};

/// The values that the active lanes of a simdgroup (or quadgroup) brought to one operation. Lanes count from the
/// group's first; a lane that has left the kernel is inactive.
struct Collective {
  unsigned active;  // bit i: lane i takes part
  unsigned width;
  alignas(16) unsigned char values[kSimdWidth][kSlotBytes];
};
using Combine = void (*)(Collective*);

/// What the device lends to kernels.
struct Runtime {
  void (*threadgroup_barrier)(unsigned flags, Site site);
  void (*simdgroup_barrier)(unsigned flags, Site site);
  /// Waits until every live lane of the group has come, runs `combine` (which may be null) once, and returns what
  /// stays valid until the lane's next operation. *lane is the caller's own lane in the group.
  const Collective* (*collect)(Scope scope, const void* value, unsigned bytes, Combine combine, const char* name,
                               Site site, unsigned* lane);
  /// The storage of a threadgroup variable: the same for all threads of a threadgroup.
  void* (*threadgroup_variable)(unsigned id, unsigned long bytes, unsigned long alignment);
  /// The calling thread's place in its simdgroup.
  unsigned (*lane)();
  /// Checking mode only: a memory access is about to happen. May not return.
  void (*access)(const volatile void* address, unsigned long bytes, AccessKind kind, const void* code);
};

/// One parameter of a kernel, as the compiled file sees it.
struct ParameterInfo {
  unsigned long element_bytes;  // of what it points to; 0 for a value
};

struct KernelInfo {
  const char* name;
  void (*run)(const ThreadState&);  // one GPU thread, from start to end
  unsigned parameter_count;
  const ParameterInfo* parameters;
};

struct FunctionConstantInfo {
  unsigned index;
  unsigned long bytes;
  void* value;
  bool* defined;
};

struct ModuleInfo {
  unsigned abi_version;
  unsigned kernel_count;
  const KernelInfo* kernels;
  unsigned constant_count;
  const FunctionConstantInfo* constants;
  void (*attach)(const Runtime*);
  void (*specialize)();  // recomputes the constants that follow from function constants
  unsigned variable_count;
  const char* const* variable_names;  // of threadgroup variables, by id
};

inline constexpr unsigned kAbiVersion = 2;

}  // namespace lattice::soft
