#include "gpu/cuda/cuda_commands.h"

#include <algorithm>
#include <utility>

#include "gpu/argument_check.h"
#include "gpu/cuda/matrix_library.h"

namespace lattice::gpu::cuda {

CudaBuffer::CudaBuffer(const Session& session, std::size_t bytes) : Buffer(bytes), session_(session) {
  const Driver& driver = session.use();
  if (const Result result = driver.allocate(&address_, bytes); result != kSuccess) {
    std::size_t free = 0;
    std::size_t total = 0;
    (void)driver.memory_info(&free, &total);
    fail("cuda: {:.2f} GB of the device's memory were asked for and {:.2f} of {:.2f} are free: {}",
         static_cast<double>(bytes) * 1e-9, static_cast<double>(free) * 1e-9,
         static_cast<double>(total) * 1e-9, describe(driver, result));
  }
  try {
    clear();
  } catch (...) {
    (void)driver.release(address_);
    throw;
  }
}

CudaBuffer::~CudaBuffer() {
  session_.release(address_);
}

void CudaBuffer::upload(std::size_t offset, std::span<const std::byte> from) {
  check_range(offset, from.size());
  if (from.empty()) return;
  // Memory that is not page-locked is copied away before this returns, so `from` is free at once.
  check(session_.use(),
        session_.use().copy_to_device(address_ + offset, from.data(), from.size(), session_.stream()),
        "copying to the device");
}

void CudaBuffer::download(std::size_t offset, std::span<std::byte> to) const {
  check_range(offset, to.size());
  if (to.empty()) return;
  check(session_.use(),
        session_.use().copy_to_host(to.data(), address_ + offset, to.size(), session_.stream()),
        "copying from the device");
  session_.wait();
}

void CudaBuffer::clear() {
  check(session_.use(), session_.use().fill_bytes(address_, 0, bytes(), session_.stream()),
        "clearing memory");
}

CudaKernel::CudaKernel(const Session& session, const CompiledKernel& compiled, std::size_t place,
                       const KernelSignature& signature, const soft::KernelInfo& info)
    : session_(session), signature_(signature), info_(info), waits_(compiled.waits) {
  const Driver& driver = session.use();
  check(driver, driver.module_load(&module_, compiled.image.data()), "loading a compiled kernel");
  const std::string function = fmt::format("kernel_{}", place);
  Result result = driver.module_function(&function_, module_, function.c_str());
  int threads = 0;
  if (result == kSuccess) result = driver.function_attribute(&threads, kMaxThreadsOfFunction, function_);
  if (result != kSuccess) {
    (void)driver.module_unload(module_);
    check(driver, result, "loading a compiled kernel");
  }
  max_threads_ = static_cast<std::uint32_t>(threads);
}

CudaKernel::~CudaKernel() {
  session_.unload(module_);
}

CudaCommands::~CudaCommands() {
  if (exec_ != nullptr) session_.destroy(exec_);
}

void CudaCommands::dispatch(const Kernel& kernel, std::vector<Argument> arguments, Extent threadgroups,
                            std::uint32_t threads_per_threadgroup) {
  const auto& own = dynamic_cast<const CudaKernel&>(kernel);
  const msl::Grid grid =
      check_dispatch(own.signature(), own.info(), arguments, threadgroups, threads_per_threadgroup);
  if (threads_per_threadgroup > own.max_threads()) {
    fail_usage("kernel {} takes threadgroups of at most {} threads on this device, not {}", kernel.name(),
               own.max_threads(), threads_per_threadgroup);
  }
  constexpr std::uint32_t kMostThreadgroupsYZ = 65535;
  if (threadgroups.x > INT32_MAX || std::max(threadgroups.y, threadgroups.z) > kMostThreadgroupsYZ) {
    fail_usage("kernel {}: {} × {} × {} threadgroups are too many", kernel.name(), threadgroups.x,
               threadgroups.y, threadgroups.z);
  }
  append(Dispatch{&own, std::move(arguments), grid});
}

void CudaCommands::product(const MatrixProduct& product) {
  if (library_ == nullptr) return Commands::product(product);
  check_product(product);
  append(product);
}

void CudaCommands::append(std::variant<Dispatch, MatrixProduct> work) {
  nodes_.push_back({std::move(work), level_});
  if (exec_ != nullptr) session_.destroy(std::exchange(exec_, nullptr));
}

void CudaCommands::barrier() {
  Commands::barrier();
  if (!nodes_.empty() && nodes_.back().level == level_) ++level_;
}

GraphNode CudaCommands::add(const Driver& driver, Graph graph, const Dispatch& dispatch) const {
  const std::vector<KernelParameter>& parameters = dispatch.kernel->signature().parameters;
  // The function's parameters stand in the order of the parameter list, the arguments in that of indices.
  std::vector<std::size_t> order(parameters.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(order, {}, [&](std::size_t i) { return parameters[i].place; });

  std::vector<DevicePointer> pointers(parameters.size());
  std::vector<void*> values;
  for (const std::size_t i : order) {
    const Argument& argument = dispatch.arguments[i];
    if (argument.buffer() == nullptr) {
      // The driver copies from here and does not write.
      values.push_back(const_cast<void*>(static_cast<const void*>(
          argument.constants().data())));  // NOLINT(cppcoreguidelines-pro-type-const-cast)
    } else {
      pointers[i] = dynamic_cast<const CudaBuffer&>(*argument.buffer()).address() + argument.offset();
      values.push_back(&pointers[i]);
    }
  }
  msl::Size3 threads = dispatch.grid.threads;
  for (std::uint32_t& extent : threads) values.push_back(&extent);

  const msl::Size3 groups = dispatch.grid.threadgroups();
  const msl::Size3& group = dispatch.grid.threadgroup;
  const KernelNodeParams params{dispatch.kernel->function(),
                                groups[0],
                                groups[1],
                                groups[2],
                                group[0],
                                group[1],
                                group[2],
                                0,
                                values.data(),
                                nullptr,
                                nullptr,
                                nullptr};
  GraphNode out = nullptr;
  check(driver, driver.graph_add_kernel(&out, graph, nullptr, 0, &params), "recording a dispatch");
  return out;
}

/// The library's kernels, however many, as a graph of their own: captured from a stream, not run.
GraphNode CudaCommands::add(const Driver& driver, Graph graph, const MatrixProduct& product) const {
  check(driver, driver.capture_begin(session_.stream(), kRelaxedCapture), "recording a product");
  Graph captured = nullptr;
  try {
    library_->enqueue(product, session_.stream());
  } catch (...) {
    (void)driver.capture_end(session_.stream(), &captured);
    if (captured != nullptr) (void)driver.graph_destroy(captured);
    throw;
  }
  check(driver, driver.capture_end(session_.stream(), &captured), "recording a product");
  GraphNode out = nullptr;
  const Result result = driver.graph_add_graph(&out, graph, nullptr, 0, captured);  // takes a copy
  (void)driver.graph_destroy(captured);
  check(driver, result, "recording a product");
  return out;
}

GraphExec CudaCommands::instantiate(const Driver& driver, bool programmatic) const {
  Graph graph = nullptr;
  check(driver, driver.graph_create(&graph, 0), "making a graph");
  struct Guard {
    const Driver& driver;
    Graph graph;
    ~Guard() { (void)driver.graph_destroy(graph); }
  } const guard{driver, graph};

  std::vector<GraphNode> before;
  std::vector<GraphNode> level;
  GraphNode last_product = nullptr;  // of the level
  bool after_product = false;        // whether the level before has one
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (i > 0 && nodes_[i].level != nodes_[i - 1].level) {
      before = std::exchange(level, {});
      after_product = std::exchange(last_product, nullptr) != nullptr;
    }
    const GraphNode node =
        std::visit([&](const auto& work) { return add(driver, graph, work); }, nodes_[i].work);
    // Where several dispatches come before, all of them must have ended; and so must a library's kernels.
    const bool early = programmatic && before.size() == 1 && nodes_[i].waits() && !after_product;
    for (const GraphNode& from : before) {
      const GraphEdge edge = early ? kProgrammaticEdge : GraphEdge{};
      const Result result = driver.graph_add_edges(graph, &from, &node, &edge, 1);
      if (early && result != kSuccess) return nullptr;
      check(driver, result, "recording a dependency");
    }
    if (nodes_[i].is_product()) {  // products share the library's memory for intermediate results
      if (last_product != nullptr) {
        const GraphEdge edge{};
        check(driver, driver.graph_add_edges(graph, &last_product, &node, &edge, 1),
              "recording a dependency");
      }
      last_product = node;
    }
    level.push_back(node);
  }
  GraphExec exec = nullptr;
  const Result result = driver.graph_instantiate(&exec, graph, 0);
  if (programmatic && result != kSuccess) return nullptr;
  check(driver, result, "making a graph");
  return exec;
}

void CudaCommands::launch() const {
  const Driver& driver = session_.use();
  if (nodes_.empty()) return;
  if (exec_ == nullptr) exec_ = instantiate(driver, true);
  if (exec_ == nullptr) exec_ = instantiate(driver, false);
  check(driver, driver.graph_launch(exec_, session_.stream()), "starting a graph");
}

}  // namespace lattice::gpu::cuda
