#include "gpu/metal/device_pick.h"

#include <cstdlib>
#include <vector>

#include <CoreFoundation/CoreFoundation.h>
#include <IOKit/IOKitLib.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "support/printable.h"

namespace lattice::gpu::metal {
namespace {

constexpr const char* kVariable = "LATTICE_METAL_DEVICE";
constexpr std::uint32_t kFewestCores = 7;

/// A count that the registry entry of the GPU's driver has as a property; 0 where it has none.
std::uint32_t registry_count(io_service_t entry, const char* property) {
  const CFStringRef key = CFStringCreateWithCString(kCFAllocatorDefault, property, kCFStringEncodingUTF8);
  const CFTypeRef value = IORegistryEntryCreateCFProperty(entry, key, kCFAllocatorDefault, 0);
  CFRelease(key);
  if (value == nullptr) return 0;
  std::int32_t count = 0;
  if (CFGetTypeID(value) != CFNumberGetTypeID() ||
      !CFNumberGetValue(static_cast<CFNumberRef>(value), kCFNumberSInt32Type, &count) || count < 0) {
    count = 0;
  }
  CFRelease(value);
  return static_cast<std::uint32_t>(count);
}

}  // namespace

DeviceOrReason pick_device() {
  const AutoreleaseScope scope;
  const Owned<NS::Array> all(MTL::CopyAllDevices());
  if (all == nullptr || all->count() == 0) return {nullptr, "there is no Metal device"};
  const char* wanted = std::getenv(kVariable);  // NOLINT(concurrency-mt-unsafe): nothing here sets any
  std::vector<std::string> names;
  bool is_named = false;
  for (NS::UInteger i = 0; i < all->count(); ++i) {
    auto* device = all->object<MTL::Device>(i);
    names.push_back(text_of(device->name()));
    if (wanted != nullptr && names.back().find(wanted) == std::string::npos) continue;
    is_named = true;
    if (device->supportsFamily(MTL::GPUFamilyApple7)) return {retained(device), {}};
  }
  if (!is_named) {
    return {nullptr, fmt::format("{} asks for {}, and the Metal devices are {}", kVariable, printable(wanted),
                                 fmt::join(names, ", "))};
  }
  return {nullptr, fmt::format("the Metal devices are {}, and an Apple GPU of the M1's family or later is "
                               "needed",
                               fmt::join(names, ", "))};
}

std::uint32_t gpu_cores() {
  const io_service_t entry = IOServiceGetMatchingService(0, IOServiceMatching("AGXAccelerator"));
  if (entry == 0) return kFewestCores;
  const std::uint32_t cores = registry_count(entry, "gpu-core-count");
  IOObjectRelease(entry);
  return cores == 0 ? kFewestCores : cores;
}

}  // namespace lattice::gpu::metal
