#include "gpu/cuda/cuda_device.h"

#include <algorithm>
#include <array>

#include "gpu/cuda/cuda_commands.h"
#include "gpu/cuda/matrix_library.h"
#include "support/cache_folder.h"
#include "support/printable.h"

namespace lattice::gpu {
namespace {

using cuda::Attribute;
using cuda::check;
using cuda::Driver;

constexpr int kOldestMajor = 8;
constexpr int kOrdinal = 0;  // of those that CUDA_VISIBLE_DEVICES leaves

struct Properties {
  std::string name;
  cuda::Capability capability;
  std::uint32_t cores = 0;
  std::size_t memory = 0;
};

Properties properties(const Driver& driver) {
  Properties out;
  std::array<char, 256> name{};
  check(driver, driver.device_name(name.data(), static_cast<int>(name.size() - 1), kOrdinal),
        "asking for the device's name");
  out.name = name.data();
  int cores = 0;
  for (const auto& [attribute, to] : {std::pair{Attribute::kMajor, &out.capability.major},
                                      std::pair{Attribute::kMinor, &out.capability.minor},
                                      std::pair{Attribute::kMultiprocessors, &cores}}) {
    check(driver, driver.device_attribute(to, attribute, kOrdinal), "asking for the device's properties");
  }
  out.cores = static_cast<std::uint32_t>(cores);
  check(driver, driver.device_memory(&out.memory, kOrdinal), "asking for the device's memory");
  return out;
}

const Driver& require_driver() {
  if (const std::string reason = cuda_absence(); !reason.empty()) fail("cuda: {}", reason);
  return *cuda::driver_or_reason().driver;
}

std::string find_absence() {
  const cuda::DriverOrReason& opened = cuda::driver_or_reason();
  if (!opened.driver) return opened.reason;
  const Driver& driver = *opened.driver;
  int count = 0;
  if (const cuda::Result result = driver.device_count(&count); result != cuda::kSuccess) {
    return describe(driver, result);
  }
  if (count == 0) return "there is no NVIDIA device";
  try {
    const Properties device = properties(driver);
    if (device.capability.major < kOldestMajor) {
      return fmt::format("{} has compute capability {}.{}, and {}.0 is the lowest that serves", device.name,
                         device.capability.major, device.capability.minor, kOldestMajor);
    }
  } catch (const Error& error) {
    return error.what();
  }
  return cuda::nvrtc_absence();
}

}  // namespace

std::string cuda_absence() {
  static const std::string reason = find_absence();
  return reason;
}

std::string cuda_description() {
  if (!cuda_absence().empty()) return {};
  const Properties device = properties(require_driver());
  return fmt::format("{} (compute capability {}.{}, {:.1f} GB)", device.name, device.capability.major,
                     device.capability.minor, static_cast<double>(device.memory) * 1e-9);
}

namespace cuda {

Session::Session(const Driver& driver, DeviceOrdinal device) : driver_(driver), device_(device) {
  check(driver, driver.context_retain(&context_, device), "opening the device");
  try {
    (void)use();
    check(driver, driver.stream_create(&stream_, kNonBlocking), "opening the device");
  } catch (...) {
    (void)driver.context_release(device);
    throw;
  }
}

// What ends does what it can: where the device is lost, everything on it is gone already.
Session::~Session() {
  if (driver_.context_set(context_) == kSuccess) (void)driver_.stream_destroy(stream_);
  (void)driver_.context_release(device_);
}
void Session::make_current() const noexcept {
  (void)driver_.context_set(context_);
}
void Session::release(DevicePointer memory) const noexcept {
  if (driver_.context_set(context_) != kSuccess) return;
  (void)driver_.stream_synchronize(stream_);
  (void)driver_.release(memory);
}
void Session::unload(Module module) const noexcept {
  if (driver_.context_set(context_) == kSuccess) (void)driver_.module_unload(module);
}
void Session::destroy(GraphExec exec) const noexcept {
  if (driver_.context_set(context_) == kSuccess) (void)driver_.graph_exec_destroy(exec);
}

}  // namespace cuda

CudaDevice::CudaDevice()
    : driver_(require_driver()),
      name_(properties(driver_).name),
      cores_(properties(driver_).cores),
      compiler_(properties(driver_).capability, driver_.driver_version,
                cuda::CubinCache(cache_folder("cuda"))),
      session_(driver_, kOrdinal),
      library_(cuda::MatrixLibrary::open(session_)) {
  for (cuda::Event& event : marks_) {
    check(session_.use(), driver_.event_create(&event, cuda::kWithoutTiming), "making an event");
  }
  check(driver_, driver_.stream_create(&side_stream_, cuda::kNonBlocking), "opening the device");
}

CudaDevice::~CudaDevice() {
  session_.make_current();
  (void)driver_.stream_destroy(side_stream_);
  for (const cuda::Event event : marks_) (void)driver_.event_destroy(event);
}

std::string CudaDevice::description() const {
  return fmt::format("cuda ({})", name_);
}

std::unique_ptr<Buffer> CudaDevice::allocate(std::size_t bytes) {
  if (bytes == 0) fail_usage("a device buffer has at least one byte");
  return std::make_unique<cuda::CudaBuffer>(session_, bytes);
}

const Kernel& CudaDevice::kernel(std::string_view name, std::span<const FunctionConstant> constants) {
  KernelKey key{std::string(name), {}};
  for (const FunctionConstant& constant : constants) key.second.emplace_back(constant.index, constant.value);
  if (const auto found = kernels_.find(key); found != kernels_.end()) return *found->second;

  const FoundKernel found = find_kernel(built_in_kernels(), name, constants);
  const cuda::CompiledKernel compiled = compiler_.compile({found.file->cuda, found.place, constants});
  auto kernel = std::make_unique<cuda::CudaKernel>(session_, compiled, found.place,
                                                   found.file->signatures[found.place], *found.info);
  return *kernels_.emplace(std::move(key), std::move(kernel)).first->second;
}

std::unique_ptr<Commands> CudaDevice::new_commands() {
  return std::make_unique<cuda::CudaCommands>(session_, library_.get());
}

void CudaDevice::submit(const Commands& commands) {
  dynamic_cast<const cuda::CudaCommands&>(commands).launch();
  count(commands);
}

Mark CudaDevice::mark() {
  const Mark mark = next_mark_++;
  const Driver& driver = session_.use();
  check(driver, driver.event_record(marks_[mark % kMarks], session_.stream()), "marking a place");
  return mark;
}

void CudaDevice::download_at(Mark mark, const Buffer& from, std::size_t offset, std::span<std::byte> to) {
  const auto& own = dynamic_cast<const cuda::CudaBuffer&>(from);
  own.check_download(offset, to.size());
  const Driver& driver = session_.use();
  // An event that has gone to a later mark since stands for more work, never for less.
  check(driver, driver.stream_wait(side_stream_, marks_[mark % kMarks], 0), "waiting for a place");
  check(driver, driver.copy_to_host(to.data(), own.address() + offset, to.size(), side_stream_),
        "copying from the device");
  check(driver, driver.stream_synchronize(side_stream_), "running the kernels");
}

double CudaDevice::measure_copy_bandwidth() {
  constexpr std::size_t kBytes = std::size_t{512} << 20;  // many times any cache
  constexpr int kCopies = 7;
  const cuda::CudaBuffer from(session_, kBytes);
  const cuda::CudaBuffer to(session_, kBytes);
  std::array<cuda::Event, 2> events{};
  for (cuda::Event& event : events) check(driver_, driver_.event_create(&event, 0), "making an event");
  std::vector<float> times;
  for (int i = 0; i < kCopies; ++i) {
    float milliseconds = 0;
    (void)driver_.event_record(events[0], session_.stream());
    check(session_.use(), driver_.copy_on_device(to.address(), from.address(), kBytes, session_.stream()),
          "copying");
    (void)driver_.event_record(events[1], session_.stream());
    session_.wait();
    check(driver_, driver_.event_elapsed(&milliseconds, events[0], events[1]), "measuring");
    times.push_back(milliseconds);
  }
  for (const cuda::Event event : events) (void)driver_.event_destroy(event);
  std::ranges::sort(times);
  return 2.0 * static_cast<double>(kBytes) / (static_cast<double>(times[times.size() / 2]) * 1e-3);
}

}  // namespace lattice::gpu
