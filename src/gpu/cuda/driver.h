#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "support/fail.h"

// The part of NVIDIA's driver interface that is used, declared here as its documentation has it, so that the
// build needs no toolkit. Functions are found at run time; structs are those of the versions named.

namespace lattice::gpu::cuda {

using Result = int;  // CUresult
using DeviceOrdinal = int;
using DevicePointer = unsigned long long;
struct ContextObject;
struct ModuleObject;
struct FunctionObject;
struct StreamObject;
struct EventObject;
struct GraphObject;
struct GraphNodeObject;
struct GraphExecObject;
using Context = ContextObject*;
using Module = ModuleObject*;
using Function = FunctionObject*;
using Stream = StreamObject*;
using Event = EventObject*;
using Graph = GraphObject*;
using GraphNode = GraphNodeObject*;
using GraphExec = GraphExecObject*;

inline constexpr Result kSuccess = 0;
inline constexpr Result kOutOfMemory = 2;

/// CUDA_KERNEL_NODE_PARAMS_v2
struct KernelNodeParams {
  Function function;
  unsigned grid_x, grid_y, grid_z;
  unsigned block_x, block_y, block_z;
  unsigned shared_bytes;
  void** arguments;
  void** extra;
  void* kernel;
  Context context;
};

/// CUgraphEdgeData
struct GraphEdge {
  unsigned char from_port;
  unsigned char to_port;
  unsigned char type;
  unsigned char reserved[5];
};
/// The dependent kernel may start when the one before says so, and itself waits for its end.
inline constexpr GraphEdge kProgrammaticEdge = {1, 0, 1, {}};

enum class Attribute : int {  // CUdevice_attribute
  kMultiprocessors = 16,
  kL2Bytes = 38,
  kMajor = 75,
  kMinor = 76,
};
inline constexpr unsigned kNonBlocking = 1;    // of a stream: apart from whatever else the process does
inline constexpr unsigned kWithoutTiming = 2;  // of an event
inline constexpr int kRelaxedCapture = 2;  // other calls of this thread, of whatever kind, are let through
inline constexpr int kMaxThreadsOfFunction = 0;  // CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK

/// The functions of libcuda.so.1. One for the process.
struct Driver {
  Result (*init)(unsigned flags);
  Result (*version)(int*);
  Result (*error_string)(Result, const char**);
  Result (*device_count)(int*);
  Result (*device_get)(DeviceOrdinal*, int);
  Result (*device_name)(char*, int, DeviceOrdinal);
  Result (*device_attribute)(int*, Attribute, DeviceOrdinal);
  Result (*device_memory)(std::size_t*, DeviceOrdinal);
  Result (*context_retain)(Context*, DeviceOrdinal);
  Result (*context_release)(DeviceOrdinal);
  Result (*context_set)(Context);
  Result (*memory_info)(std::size_t* free, std::size_t* total);
  Result (*allocate)(DevicePointer*, std::size_t);
  Result (*release)(DevicePointer);
  Result (*copy_to_device)(DevicePointer, const void*, std::size_t, Stream);
  Result (*copy_to_host)(void*, DevicePointer, std::size_t, Stream);
  Result (*copy_on_device)(DevicePointer to, DevicePointer from, std::size_t, Stream);
  Result (*fill_bytes)(DevicePointer, unsigned char, std::size_t, Stream);
  Result (*module_load)(Module*, const void* image);
  Result (*module_unload)(Module);
  Result (*module_function)(Function*, Module, const char* name);
  Result (*function_attribute)(int*, int attribute, Function);
  Result (*stream_create)(Stream*, unsigned flags);
  Result (*stream_destroy)(Stream);
  Result (*stream_synchronize)(Stream);
  Result (*stream_wait)(Stream, Event, unsigned flags);
  Result (*capture_begin)(Stream, int mode);
  Result (*capture_end)(Stream, Graph*);
  Result (*event_create)(Event*, unsigned flags);
  Result (*event_destroy)(Event);
  Result (*event_record)(Event, Stream);
  Result (*event_elapsed)(float* milliseconds, Event from, Event to);
  Result (*graph_create)(Graph*, unsigned flags);
  Result (*graph_destroy)(Graph);
  Result (*graph_add_kernel)(GraphNode*, Graph, const GraphNode* dependencies, std::size_t,
                             const KernelNodeParams*);
  Result (*graph_add_graph)(GraphNode*, Graph, const GraphNode* dependencies, std::size_t, Graph child);
  Result (*graph_instantiate)(GraphExec*, Graph, unsigned long long flags);
  Result (*graph_exec_destroy)(GraphExec);
  Result (*graph_launch)(GraphExec, Stream);
  Result (*graph_add_edges)(Graph, const GraphNode* from, const GraphNode* to, const GraphEdge*, std::size_t);

  int driver_version = 0;  // 1000 · major + 10 · minor
};

/// The driver, or why it cannot be used: in words that follow "cuda: ".
struct DriverOrReason {
  std::optional<Driver> driver;
  std::string reason;
};
[[nodiscard]] const DriverOrReason& driver_or_reason();
/// The same from libraries of other names: for tests.
[[nodiscard]] DriverOrReason open_driver(std::string_view library);

/// What a result means, in words.
[[nodiscard]] std::string describe(const Driver& driver, Result result);

/// Throws Error unless `result` is success: "cuda: <doing> failed: <why>". `doing` is a gerund.
inline void check(const Driver& driver, Result result, std::string_view doing) {
  if (result != kSuccess) fail("cuda: {} failed: {}", doing, describe(driver, result));
}

}  // namespace lattice::gpu::cuda
