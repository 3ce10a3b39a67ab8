#include "gpu/cuda/module_launch.h"

#include <algorithm>
#include <string>

#include <fmt/format.h>

#include "msl/emit.h"
#include "support/fail.h"

namespace lattice::gpu {
namespace {

using cuda::check;
using cuda::Driver;

constexpr std::size_t kMostValueBytes = 4096;  // of a kernel's parameters, in every version of CUDA
constexpr std::size_t kSharedAlignment = 16;
constexpr std::size_t kFewestDispatches = 64;  // of a replay: what the clock counts is long against its ticks
constexpr std::size_t kMostSetBytes = std::size_t{16} << 30;  // of all sets of buffers together
constexpr std::size_t kMostSets = 512;
constexpr std::size_t kCacheTurns =
    4;  // a set's turn comes again when this many caches' worth was read in between

std::size_t padded(std::size_t bytes) {
  return (bytes + kSharedAlignment - 1) / kSharedAlignment * kSharedAlignment;
}

void check_grid(const msl::Grid& grid, std::string_view kernel) {
  for (std::size_t i = 0; i < 3; ++i) {
    if (grid.threads[i] % grid.threadgroup[i] != 0) {
      fail_usage(
          "kernel {}: on cuda the grid must be of whole threadgroups, and {} threads are no multiple of {}",
          kernel, grid.threads[i], grid.threadgroup[i]);
    }
  }
  constexpr std::uint32_t kMostThreadgroupsYZ = 65535;
  const msl::Size3 groups = grid.threadgroups();
  if (std::max(groups[1], groups[2]) > kMostThreadgroupsYZ) {
    fail_usage("kernel {}: {} × {} × {} threadgroups are too many", kernel, groups[0], groups[1], groups[2]);
  }
}

/// A graph between two events. Ends all three.
class Timer {
 public:
  Timer(const cuda::Session& session, cuda::GraphExec exec)
      : session_(session), driver_(session.use()), exec_(exec) {
    for (cuda::Event& event : events_) {
      if (const cuda::Result result = driver_.event_create(&event, 0); result != cuda::kSuccess) {
        release();
        check(driver_, result, "making an event");
      }
    }
  }
  ~Timer() { release(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  double seconds() {
    check(driver_, driver_.event_record(events_[0], session_.stream()), "measuring");
    check(driver_, driver_.graph_launch(exec_, session_.stream()), "starting a graph");
    check(driver_, driver_.event_record(events_[1], session_.stream()), "measuring");
    session_.wait();
    float milliseconds = 0;
    check(driver_, driver_.event_elapsed(&milliseconds, events_[0], events_[1]), "measuring");
    return static_cast<double>(milliseconds) * 1e-3;
  }

 private:
  void release() const noexcept {
    session_.make_current();
    for (const cuda::Event event : events_) {
      if (event != nullptr) (void)driver_.event_destroy(event);
    }
    session_.destroy(exec_);
  }

  const cuda::Session& session_;
  const Driver& driver_;
  cuda::GraphExec exec_;
  std::array<cuda::Event, 2> events_{};
};

}  // namespace

ModuleRunner::ModuleRunner(CudaDevice& device, const msl::Module& module, const ModuleLaunch& launch)
    : session_(device.session()),
      function_(module.function_of(module.kernels[launch.kernel])),
      launch_(launch) {
  const std::string& name = module.kernels[launch.kernel].name;
  check_grid(launch.grid, name);
  for (const msl::Parameter& parameter : function_.parameters) {
    if (parameter.kind != msl::ParameterKind::kBuffer || !msl::is_by_value(parameter)) continue;
    const std::span<const std::byte> given = launch.buffers[parameter.index];
    if (given.size() > kMostValueBytes) {
      fail_usage("kernel {}: {} has {} bytes, and on cuda a constant reference takes at most {}", name,
                 parameter.name, given.size(), kMostValueBytes);
    }
    std::vector<std::byte>& value = values_[parameter.index];
    value.assign(given.begin(), given.end());
    value.resize(kMostValueBytes);
  }
  const cuda::CompiledKernel compiled =
      device.compiler().compile({msl::emit_cuda(module), launch.kernel, launch.constants});
  const Driver& driver = session_.use();
  check(driver, driver.module_load(&module_, compiled.image.data()), "loading a compiled kernel");
  const std::string entry = fmt::format("kernel_{}", launch.kernel);
  int threads = 0;
  cuda::Result result = driver.module_function(&kernel_, module_, entry.c_str());
  if (result == cuda::kSuccess)
    result = driver.function_attribute(&threads, cuda::kMaxThreadsOfFunction, kernel_);
  if (result != cuda::kSuccess ||
      msl::volume(launch.grid.threadgroup) > static_cast<std::uint64_t>(threads)) {
    session_.unload(module_);
    check(driver, result, "loading a compiled kernel");
    fail_usage("kernel {} takes threadgroups of at most {} threads on this device, not {}", name, threads,
               msl::volume(launch.grid.threadgroup));
  }
}

ModuleRunner::~ModuleRunner() {
  session_.unload(module_);
}

ModuleRunner::BufferSet ModuleRunner::upload() const {
  BufferSet out;
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (launch_.buffers[i].empty() || !values_[i].empty()) continue;
    out[i] = std::make_unique<cuda::CudaBuffer>(session_, launch_.buffers[i].size());
    out[i]->upload(0, launch_.buffers[i]);
  }
  return out;
}

std::size_t ModuleRunner::buffer_bytes() const noexcept {
  std::size_t out = 0;
  for (std::size_t i = 0; i < values_.size(); ++i) {
    if (values_[i].empty()) out += launch_.buffers[i].size();
  }
  return out;
}

cuda::GraphNode ModuleRunner::add(cuda::Graph graph, const BufferSet& set,
                                  const cuda::GraphNode* after) const {
  std::array<cuda::DevicePointer, msl::kBindings> pointers{};
  std::array<std::uint32_t, msl::kBindings> offsets{};
  std::vector<void*> arguments;
  std::size_t shared = 0;
  // The entry point's parameters: buffers, then threadgroup memory, each in the kernel's own order
  // (msl/emit.h).
  for (const msl::Parameter& parameter : function_.parameters) {
    if (parameter.kind != msl::ParameterKind::kBuffer) continue;
    if (msl::is_by_value(parameter)) {
      // The driver copies from here and does not write.
      arguments.push_back(const_cast<std::byte*>(
          values_[parameter.index].data()));  // NOLINT(cppcoreguidelines-pro-type-const-cast)
      continue;
    }
    if (set[parameter.index] != nullptr) pointers[parameter.index] = set[parameter.index]->address();
    arguments.push_back(&pointers[parameter.index]);
  }
  for (const msl::Parameter& parameter : function_.parameters) {
    if (parameter.kind != msl::ParameterKind::kThreadgroupMemory) continue;
    offsets[parameter.index] = static_cast<std::uint32_t>(shared);
    arguments.push_back(&offsets[parameter.index]);
    shared += padded(launch_.threadgroup_bytes[parameter.index]);
  }
  msl::Size3 threads = launch_.grid.threads;
  for (std::uint32_t& extent : threads) arguments.push_back(&extent);

  const msl::Size3 groups = launch_.grid.threadgroups();
  const msl::Size3& group = launch_.grid.threadgroup;
  const cuda::KernelNodeParams params{kernel_,          groups[0], groups[1], groups[2],
                                      group[0],         group[1],  group[2],  static_cast<unsigned>(shared),
                                      arguments.data(), nullptr,   nullptr,   nullptr};
  cuda::GraphNode out = nullptr;
  const Driver& driver = session_.use();
  check(driver, driver.graph_add_kernel(&out, graph, after, after == nullptr ? 0 : 1, &params),
        "recording a dispatch");
  return out;
}

cuda::GraphExec ModuleRunner::record(const std::vector<BufferSet>& sets, std::size_t count) const {
  const Driver& driver = session_.use();
  cuda::Graph graph = nullptr;
  check(driver, driver.graph_create(&graph, 0), "making a graph");
  struct Guard {
    const Driver& driver;
    cuda::Graph graph;
    ~Guard() { (void)driver.graph_destroy(graph); }
  } const guard{driver, graph};
  cuda::GraphNode last = nullptr;
  for (std::size_t i = 0; i < count; ++i) last = add(graph, sets[i % sets.size()], i == 0 ? nullptr : &last);
  cuda::GraphExec exec = nullptr;
  check(driver, driver.graph_instantiate(&exec, graph, 0), "making a graph");
  return exec;
}

void ModuleRunner::run() {
  std::vector<BufferSet> sets;
  sets.push_back(upload());
  const cuda::GraphExec exec = record(sets, 1);
  const Driver& driver = session_.use();
  const cuda::Result started = driver.graph_launch(exec, session_.stream());
  const cuda::Result ended =
      started == cuda::kSuccess ? driver.stream_synchronize(session_.stream()) : started;
  session_.destroy(exec);
  check(driver, ended, "running the kernel");
  for (std::size_t i = 0; i < sets[0].size(); ++i) {
    if (sets[0][i] != nullptr) sets[0][i]->download(0, launch_.buffers[i]);
  }
}

DispatchTimes ModuleRunner::time(int replays) {
  const Driver& driver = session_.use();
  int cache = 0;
  check(driver, driver.device_attribute(&cache, cuda::Attribute::kL2Bytes, 0), "asking for the cache's size");
  const std::size_t bytes = std::max<std::size_t>(buffer_bytes(), 1);
  DispatchTimes out;
  out.buffer_sets = std::clamp<std::size_t>(
      kCacheTurns * static_cast<std::size_t>(std::max(cache, 0)) / bytes + 1, 2, kMostSets);
  out.buffer_sets = std::max<std::size_t>(std::min(out.buffer_sets, kMostSetBytes / bytes), 2);
  out.dispatches = (kFewestDispatches + out.buffer_sets - 1) / out.buffer_sets * out.buffer_sets;
  std::vector<BufferSet> sets;
  for (std::size_t i = 0; i < out.buffer_sets; ++i) sets.push_back(upload());
  Timer timer(session_, record(sets, out.dispatches));
  constexpr int kWarmups = 3;
  for (int i = 0; i < kWarmups; ++i) (void)timer.seconds();
  for (int i = 0; i < replays; ++i)
    out.seconds.push_back(timer.seconds() / static_cast<double>(out.dispatches));
  std::ranges::sort(out.seconds);
  return out;
}

}  // namespace lattice::gpu
