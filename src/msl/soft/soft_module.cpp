#include "msl/soft/soft_module.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <utility>

#include <dlfcn.h>

#include "msl/soft/checker.h"
#include "msl/soft/guarded_memory.h"
#include "msl/soft/symbolizer.h"
#include "msl/soft/threadgroup_runner.h"
#include "support/fail.h"
#include "support/printable.h"

namespace lattice::msl {
namespace {

Size3 position_of(std::uint64_t index, const Size3& counts) {
  return {static_cast<std::uint32_t>(index % counts[0]),
          static_cast<std::uint32_t>(index / counts[0] % counts[1]),
          static_cast<std::uint32_t>(index / counts[0] / counts[1])};
}

}  // namespace

void validate(const Grid& grid) {
  for (std::size_t i = 0; i < 3; ++i) {
    if (grid.threads[i] == 0 || grid.threadgroup[i] == 0)
      fail_usage("a grid and its threadgroups have at least one thread each way");
    if (grid.threadgroup[i] > soft::kMaxThreads)
      fail_usage("a threadgroup has at most {} threads", soft::kMaxThreads);
  }
  if (volume(grid.threadgroup) > soft::kMaxThreads) {
    fail_usage("a threadgroup has at most {} threads, not {}", soft::kMaxThreads, volume(grid.threadgroup));
  }
  // The product of two extents fits into 64 bits; the third is compared by division.
  const Size3 groups = grid.threadgroups();
  constexpr std::uint64_t kMaxGroups = 0xffffffffu;
  if (std::uint64_t{groups[0]} * groups[1] > kMaxGroups / groups[2])
    fail_usage("the grid has more than 2^32 − 1 threadgroups");
}

SoftModule SoftModule::compile(const Module& module, const CompileOptions& options) {
  const std::filesystem::path path = compile_soft(module, options);
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr)
    fail("{}: cannot be loaded: {}", path.string(), dlerror());  // NOLINT(concurrency-mt-unsafe)
  auto* entry = reinterpret_cast<const soft::ModuleInfo* (*)()>(dlsym(handle, "lattice_module"));
  if (entry == nullptr || entry()->abi_version != soft::kAbiVersion) {
    dlclose(handle);
    fail("{}: is no compiled kernel file of this version", path.string());
  }
  SoftModule out(handle, *entry());
  out.path_ = path;
  if (auto* attach =
          reinterpret_cast<void (*)(const soft::Runtime*)>(dlsym(handle, "lattice_attach_checker"))) {
    attach(&ThreadgroupRunner::runtime());
  }
  return out;
}

SoftModule::SoftModule(void* handle, const soft::ModuleInfo& info) : handle_(handle), info_(&info) {
  info_->attach(&ThreadgroupRunner::runtime());
  specialize({});
}

SoftModule::SoftModule(const soft::ModuleInfo& info) : SoftModule(nullptr, info) {}

SoftModule::SoftModule(SoftModule&& other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)), info_(other.info_), path_(std::move(other.path_)) {}

SoftModule::~SoftModule() {
  if (handle_ != nullptr) dlclose(handle_);
}

const soft::KernelInfo& SoftModule::kernel(std::string_view name) const {
  for (unsigned i = 0; i < info_->kernel_count; ++i) {
    if (name == info_->kernels[i].name) return info_->kernels[i];
  }
  fail("there is no kernel {}", printable(name));
}

std::size_t SoftModule::constant_bytes(std::uint32_t index) const noexcept {
  for (unsigned i = 0; i < info_->constant_count; ++i) {
    if (info_->constants[i].index == index) return info_->constants[i].bytes;
  }
  return 0;
}

void SoftModule::specialize(std::span<const ConstantValue> values) {
  for (unsigned i = 0; i < info_->constant_count; ++i) {
    const soft::FunctionConstantInfo& constant = info_->constants[i];
    *constant.defined = false;
    std::memset(constant.value, 0, constant.bytes);
  }
  for (const ConstantValue& value : values) {
    bool found = false;
    for (unsigned i = 0; i < info_->constant_count; ++i) {
      const soft::FunctionConstantInfo& constant = info_->constants[i];
      if (constant.index != value.index) continue;
      if (constant.bytes != value.bytes.size()) {
        fail_usage("function constant {} has {} bytes, not {}", value.index, constant.bytes,
                   value.bytes.size());
      }
      std::memcpy(constant.value, value.bytes.data(), constant.bytes);
      *constant.defined = true;
      found = true;
    }
    if (!found) fail_usage("there is no function constant {}", value.index);
  }
  info_->specialize();
}

void SoftModule::dispatch(const Launch& launch, ThreadPool& pool) const {
  validate(launch.grid);
  const Size3 counts = launch.grid.threadgroups();
  const std::uint64_t total = volume(counts);
  std::atomic<std::uint64_t> next{0};
  pool.run([&](int) {
    // Kept by its thread from dispatch to dispatch: to map the fibers' stacks anew takes longer than a small
    // kernel.
    static thread_local std::unique_ptr<ThreadgroupRunner> runner;
    for (std::uint64_t i = next.fetch_add(1); i < total; i = next.fetch_add(1)) {
      if (runner == nullptr) runner = std::make_unique<ThreadgroupRunner>();
      runner->run(launch, position_of(i, counts));
    }
  });
}

std::vector<Finding> SoftModule::check(const Launch& launch, std::span<const BoundBuffer> buffers,
                                       int orders) const {
  validate(launch.grid);
  std::vector<std::size_t> sizes;
  std::vector<CheckedBuffer> described;
  for (const BoundBuffer& buffer : buffers) {
    sizes.push_back(buffer.data.size());
    described.push_back({buffer.name, buffer.data.size(), std::max<std::size_t>(buffer.element_bytes, 1)});
  }
  std::vector<std::string> variables;
  for (unsigned i = 0; i < info_->variable_count; ++i) variables.emplace_back(info_->variable_names[i]);
  const GuardedMemory memory(sizes);
  const Symbolizer symbolizer(path_);
  const Size3 counts = launch.grid.threadgroups();
  std::vector<std::uint64_t> order(volume(counts));
  std::vector<std::vector<std::byte>> first_results;
  std::vector<Finding> findings;

  for (int run = 0; run < orders; ++run) {
    Launch own = launch;
    own.buffers = {};
    for (std::size_t i = 0; i < buffers.size(); ++i) {
      if (!buffers[i].data.empty()) std::memcpy(memory.buffer(i), buffers[i].data.data(), sizes[i]);
      own.buffers[buffers[i].index] = memory.buffer(i);
    }
    Checker checker(launch.kernel->name, memory, described, variables,
                    [&](const void* code) { return symbolizer.place(code); });
    ThreadgroupRunner runner;
    runner.set_observer(&checker);
    runner.set_seed(static_cast<std::uint64_t>(run));
    std::iota(order.begin(), order.end(), std::uint64_t{0});
    if (run != 0) std::shuffle(order.begin(), order.end(), std::mt19937_64(static_cast<std::uint64_t>(run)));
    for (const std::uint64_t threadgroup : order) {
      checker.begin_threadgroup();
      runner.run(own, position_of(threadgroup, counts));
    }
    for (std::size_t i = 0; i < buffers.size(); ++i) {
      const std::byte* now = memory.buffer(i);
      if (run == 0) {
        first_results.emplace_back(now, now + sizes[i]);
        continue;
      }
      const auto differ = std::mismatch(first_results[i].begin(), first_results[i].end(), now).first;
      if (differ == first_results[i].end()) continue;
      Finding finding;
      finding.kind = FindingKind::kOrderDependence;
      finding.object = buffers[i].name;
      finding.index = static_cast<std::int64_t>(static_cast<std::size_t>(differ - first_results[i].begin()) /
                                                described[i].element_bytes);
      finding.detail = "another order of threads gives other bits";
      checker.add(std::move(finding));
    }
    for (Finding& finding : checker.take_findings()) {
      const auto same = std::find_if(findings.begin(), findings.end(), [&](const Finding& other) {
        return other.kind == finding.kind && other.place == finding.place && other.object == finding.object;
      });
      if (same == findings.end()) findings.push_back(std::move(finding));
    }
  }
  for (std::size_t i = 0; i < buffers.size() && !first_results.empty(); ++i) {
    std::copy(first_results[i].begin(), first_results[i].end(), buffers[i].data.begin());
  }
  return findings;
}

}  // namespace lattice::msl
