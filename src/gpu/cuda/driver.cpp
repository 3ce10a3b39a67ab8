#include "gpu/cuda/driver.h"

#include <array>

#include "gpu/cuda/shared_library.h"

namespace lattice::gpu::cuda {
namespace {

constexpr int kOldestVersion = 12'030;  // the first whose graphs have edges of kinds

// CUresult, where a person needs to be told more than the driver's own words say.
constexpr Result kNoDevice = 100;
constexpr Result kEccUncorrectable = 214;
constexpr Result kIllegalAddress = 700;
constexpr Result kLaunchFailed = 719;
constexpr Result kDeviceLost = 46;  // CUDA_ERROR_DEVICE_UNAVAILABLE
constexpr Result kVersionMismatch = 803;

/// The name of a function that is missing, or null.
const char* load_functions(const SharedLibrary& library, Driver& driver) {
  const char* missing = nullptr;
  const auto load = [&](auto& function, const char* name) {
    library.load(function, name);
    if (function == nullptr) missing = name;
  };
  load(driver.init, "cuInit");
  load(driver.version, "cuDriverGetVersion");
  load(driver.error_string, "cuGetErrorString");
  load(driver.device_count, "cuDeviceGetCount");
  load(driver.device_get, "cuDeviceGet");
  load(driver.device_name, "cuDeviceGetName");
  load(driver.device_attribute, "cuDeviceGetAttribute");
  load(driver.device_memory, "cuDeviceTotalMem_v2");
  load(driver.context_retain, "cuDevicePrimaryCtxRetain");
  load(driver.context_release, "cuDevicePrimaryCtxRelease_v2");
  load(driver.context_set, "cuCtxSetCurrent");
  load(driver.memory_info, "cuMemGetInfo_v2");
  load(driver.allocate, "cuMemAlloc_v2");
  load(driver.release, "cuMemFree_v2");
  load(driver.copy_to_device, "cuMemcpyHtoDAsync_v2");
  load(driver.copy_to_host, "cuMemcpyDtoHAsync_v2");
  load(driver.copy_on_device, "cuMemcpyDtoDAsync_v2");
  load(driver.fill_bytes, "cuMemsetD8Async");
  load(driver.module_load, "cuModuleLoadData");
  load(driver.module_unload, "cuModuleUnload");
  load(driver.module_function, "cuModuleGetFunction");
  load(driver.function_attribute, "cuFuncGetAttribute");
  load(driver.stream_create, "cuStreamCreate");
  load(driver.stream_destroy, "cuStreamDestroy_v2");
  load(driver.stream_synchronize, "cuStreamSynchronize");
  load(driver.stream_wait, "cuStreamWaitEvent");
  load(driver.capture_begin, "cuStreamBeginCapture_v2");
  load(driver.capture_end, "cuStreamEndCapture");
  load(driver.event_create, "cuEventCreate");
  load(driver.event_destroy, "cuEventDestroy_v2");
  load(driver.event_record, "cuEventRecord");
  load(driver.event_elapsed, "cuEventElapsedTime");
  load(driver.graph_create, "cuGraphCreate");
  load(driver.graph_destroy, "cuGraphDestroy");
  load(driver.graph_add_kernel, "cuGraphAddKernelNode_v2");
  load(driver.graph_add_graph, "cuGraphAddChildGraphNode");
  load(driver.graph_instantiate, "cuGraphInstantiateWithFlags");
  load(driver.graph_exec_destroy, "cuGraphExecDestroy");
  load(driver.graph_launch, "cuGraphLaunch");
  load(driver.graph_add_edges, "cuGraphAddDependencies_v2");
  return missing;
}

}  // namespace

std::string describe(const Driver& driver, Result result) {
  switch (result) {
    case kOutOfMemory:
      return "the device has no memory left; a smaller model, context or weight format takes less";
    case kNoDevice:
      return "there is no NVIDIA device";
    case kVersionMismatch:
      return "the driver's library and its kernel module are of different versions; restart the machine";
    case kDeviceLost:
    case kEccUncorrectable:
    case kIllegalAddress:
    case kLaunchFailed:
      return fmt::format("the device is lost to this process (error {}); go on with --device cpu", result);
    default:
      break;
  }
  const char* text = nullptr;
  if (driver.error_string(result, &text) != kSuccess || text == nullptr) text = "unknown";
  return fmt::format("{} (error {})", text, result);
}

DriverOrReason open_driver(std::string_view name) {
  DriverOrReason out;
  const std::array names = {std::string(name)};
  const SharedLibrary library(names);
  if (!library.is_open()) {
    out.reason = fmt::format("{} was not found: the NVIDIA driver is not installed", name);
    return out;
  }
  Driver driver{};
  const char* missing = load_functions(library, driver);
  if (driver.version != nullptr) (void)driver.version(&driver.driver_version);
  if (missing != nullptr || driver.driver_version < kOldestVersion) {
    out.reason = fmt::format("the driver is for CUDA {}.{}, and {}.{} is the oldest that serves",
                             driver.driver_version / 1000, driver.driver_version % 1000 / 10,
                             kOldestVersion / 1000, kOldestVersion % 1000 / 10);
    if (missing != nullptr) out.reason += fmt::format(" ({} is missing)", missing);
    return out;
  }
  if (const Result result = driver.init(0); result != kSuccess) {
    out.reason = describe(driver, result);
    return out;
  }
  out.driver = driver;
  return out;
}

const DriverOrReason& driver_or_reason() {
  static const DriverOrReason opened = open_driver("libcuda.so.1");
  return opened;
}

}  // namespace lattice::gpu::cuda
