#include "msl/soft/threadgroup_runner.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>
#include <utility>

#include <boost/context/protected_fixedsize_stack.hpp>

#include "support/fail.h"

namespace lattice::msl {
namespace {

// A kernel's arrays live on its stack: a 64-row accumulator of float4 is 1 KB, the largest seen a few KB.
// AddressSanitizer pads every one of them.
#if defined(LATTICE_ADDRESS_SANITIZER)
constexpr std::size_t kStackBytes = std::size_t{512} << 10;
#else
constexpr std::size_t kStackBytes = std::size_t{128} << 10;
#endif
// Nothing lies between two threadgroup variables for this long, so that an index that is off by some shows.
constexpr std::size_t kZoneBytes = 256;
constexpr std::size_t kArenaBytes = kMaxThreadgroupBytes + 256 * kZoneBytes;

thread_local ThreadgroupRunner* active_runner = nullptr;

bool same_site(const soft::Site& a, const soft::Site& b) {
  return a.line == b.line && (a.file == b.file || std::strcmp(a.file, b.file) == 0);
}

}  // namespace

ThreadgroupRunner::ThreadgroupRunner() : arena_(new std::byte[kArenaBytes]) {}
ThreadgroupRunner::~ThreadgroupRunner() = default;

const soft::Runtime& ThreadgroupRunner::runtime() noexcept {
  static const soft::Runtime runtime = {
      on_threadgroup_barrier, on_simdgroup_barrier, on_collect, on_threadgroup_variable, on_lane, on_access};
  return runtime;
}

void ThreadgroupRunner::on_threadgroup_barrier(unsigned flags, soft::Site site) {
  active_runner->barrier(flags, site);
}

void ThreadgroupRunner::on_simdgroup_barrier(unsigned flags, soft::Site site) {
  ThreadgroupRunner& self = *active_runner;
  unsigned lane = 0;
  self.collect(soft::kSimdScope, nullptr, 0, nullptr, "simdgroup_barrier", site, &lane);
  Epochs& epochs = self.threads_[self.current_].epochs;
  if ((flags & soft::kDeviceMemory) != 0) ++epochs.simdgroup[0];
  if ((flags & soft::kThreadgroupMemory) != 0) ++epochs.simdgroup[1];
}

const soft::Collective* ThreadgroupRunner::on_collect(soft::Scope scope, const void* value, unsigned bytes,
                                                      soft::Combine combine, const char* name,
                                                      soft::Site site, unsigned* lane) {
  return active_runner->collect(scope, value, bytes, combine, name, site, lane);
}

unsigned ThreadgroupRunner::on_lane() {
  return active_runner->current_ % soft::kSimdWidth;
}

void* ThreadgroupRunner::on_threadgroup_variable(unsigned id, unsigned long bytes, unsigned long alignment) {
  return active_runner->threadgroup_variable(id, bytes, alignment);
}

void ThreadgroupRunner::on_access(const volatile void* address, unsigned long bytes, soft::AccessKind kind,
                                  const void* code) {
  if (active_runner == nullptr || active_runner->observer_ == nullptr)
    return;  // as while constants are computed
  ThreadgroupRunner& self = *active_runner;
  if (!self.observer_->access(self.running(self.current_), reinterpret_cast<std::uint64_t>(address), bytes,
                              kind, code)) {
    self.abandon();
  }
}

void ThreadgroupRunner::run(const Launch& launch, const Size3& threadgroup) {
  prepare(launch, threadgroup);
  ThreadgroupRunner* outer = std::exchange(active_runner, this);
  while (left_ < count_ && !abandoned_) {
    if (ready_head_ < ready_.size() || started_ < count_) {
      start_or_resume();
    } else if (!resolve_stuck()) {
      break;  // cannot be: every thread that has not left waits for something
    }
  }
  if (abandoned_) {
    idle_.clear();
    fibers_.clear();  // unwinds what still stands on their stacks
  }
  active_runner = outer;
  if (!failure_.empty()) fail("kernel {}: {}", launch.kernel->name, failure_);
}

void ThreadgroupRunner::prepare(const Launch& launch, const Size3& threadgroup) {
  launch_ = &launch;
  const Size3 counts = launch.grid.threadgroups();
  common_ = {};
  for (std::size_t i = 0; i < 3; ++i) {
    common_.threadgroup_position[i] = threadgroup[i];
    common_.threads_per_grid[i] = launch.grid.threads[i];
    common_.dispatch_threads_per_threadgroup[i] = launch.grid.threadgroup[i];
    common_.threadgroups_per_grid[i] = counts[i];
    common_.threads_per_threadgroup[i] = std::min(
        launch.grid.threadgroup[i], launch.grid.threads[i] - threadgroup[i] * launch.grid.threadgroup[i]);
  }
  threadgroup_index_ = (threadgroup[2] * counts[1] + threadgroup[1]) * counts[0] + threadgroup[0];
  const unsigned* size = common_.threads_per_threadgroup;
  count_ = size[0] * size[1] * size[2];
  const auto dispatched = static_cast<unsigned>(volume(launch.grid.threadgroup));
  common_.simd_width = soft::kSimdWidth;
  common_.simdgroups = (count_ + soft::kSimdWidth - 1) / soft::kSimdWidth;
  common_.dispatch_simdgroups = (dispatched + soft::kSimdWidth - 1) / soft::kSimdWidth;
  common_.quadgroups = (count_ + soft::kQuadWidth - 1) / soft::kQuadWidth;
  common_.dispatch_quadgroups = (dispatched + soft::kQuadWidth - 1) / soft::kQuadWidth;
  common_.buffers = launch.buffers.data();
  common_.threadgroup_memory = threadgroup_memory_.data();

  if (threads_.size() < count_) threads_.resize(count_);
  for (unsigned i = 0; i < count_; ++i) {
    threads_[i].state = State::kUnstarted;
    threads_[i].epochs = {};
  }
  prepare_groups(simdgroups_, soft::kSimdWidth);
  prepare_groups(quadgroups_, soft::kQuadWidth);
  started_ = left_ = at_barrier_ = 0;
  ready_.clear();
  ready_head_ = 0;
  abandoned_ = false;
  failure_.clear();
  if (order_.size() != count_ || shuffled_) {
    order_.resize(count_);
    std::iota(order_.begin(), order_.end(), 0u);
  }
  if (shuffled_) std::shuffle(order_.begin(), order_.end(), random_);
  bind_threadgroup_memory(launch);
}

void ThreadgroupRunner::prepare_groups(std::vector<Group>& groups, unsigned width) {
  groups.resize((count_ + width - 1) / width);
  for (unsigned i = 0; i < groups.size(); ++i) {
    const unsigned size = std::min(width, count_ - i * width);
    groups[i].first = i * width;
    groups[i].live = size == 32 ? ~0u : (1u << size) - 1;
    groups[i].waiting = 0;
    groups[i].collective.width = size;
  }
}

void ThreadgroupRunner::bind_threadgroup_memory(const Launch& launch) {
  used_ = kZoneBytes;
  used_bytes_ = 0;
  variables_.clear();
  threadgroup_memory_ = {};
  for (std::size_t i = 0; i < kBindings; ++i) {
    const std::size_t bytes = launch.threadgroup_bytes[i];
    if (bytes == 0) continue;
    const std::size_t offset = place(bytes, 16);
    if (!failure_.empty()) {
      abandoned_ = true;
      return;
    }
    threadgroup_memory_[i] = arena_.get() + offset;
    if (observer_ != nullptr)
      observer_->variable(arena_.get() + offset, bytes, ~static_cast<std::uint32_t>(i));
  }
}

std::size_t ThreadgroupRunner::place(std::size_t bytes, std::size_t alignment) {
  used_bytes_ += bytes;
  const auto base = reinterpret_cast<std::uintptr_t>(arena_.get());
  const std::size_t offset = (base + used_ + alignment - 1) / alignment * alignment - base;
  if (used_bytes_ > kMaxThreadgroupBytes || offset + bytes + kZoneBytes > kArenaBytes) {
    failure_ = fmt::format("it needs {} bytes of threadgroup memory and more; Metal gives {}", used_bytes_,
                           kMaxThreadgroupBytes);
    return 0;
  }
  used_ = offset + bytes + kZoneBytes;
  return offset;
}

void* ThreadgroupRunner::threadgroup_variable(unsigned id, std::size_t bytes, std::size_t alignment) {
  if (variables_.size() <= id) variables_.resize(id + 1);
  Variable& variable = variables_[id];
  if (variable.bytes == 0) {
    const std::size_t offset = place(bytes, std::max<std::size_t>(alignment, 16));
    if (!failure_.empty()) abandon();
    variable = {offset, bytes, true};
    if (observer_ != nullptr) observer_->variable(arena_.get() + offset, bytes, id);
  }
  return arena_.get() + variable.offset;
}

void ThreadgroupRunner::fill_state(unsigned thread) {
  soft::ThreadState& state = threads_[thread].values;
  state = common_;
  const unsigned* size = common_.threads_per_threadgroup;
  state.position_in_threadgroup[0] = thread % size[0];
  state.position_in_threadgroup[1] = thread / size[0] % size[1];
  state.position_in_threadgroup[2] = thread / size[0] / size[1];
  for (std::size_t i = 0; i < 3; ++i) {
    state.position_in_grid[i] =
        common_.threadgroup_position[i] * common_.dispatch_threads_per_threadgroup[i] +
        state.position_in_threadgroup[i];
  }
  state.index_in_threadgroup = thread;
  state.lane = thread % soft::kSimdWidth;
  state.simdgroup = thread / soft::kSimdWidth;
  state.quad_lane = thread % soft::kQuadWidth;
  state.quadgroup = thread / soft::kQuadWidth;
}

/// Unwinds what still stands on the fiber's stack.
ThreadgroupRunner::Fiber::~Fiber() {
  {
    const FiberSwitch to_fiber(stack);
    context = {};
  }
  FiberSwitch::forget(stack);
}

ThreadgroupRunner::Fiber& ThreadgroupRunner::new_fiber() {
  Fiber& fiber = *fibers_.emplace_back(std::make_unique<Fiber>());
  boost::context::protected_fixedsize_stack allocator(kStackBytes);
  const boost::context::stack_context stack = allocator.allocate();
  fiber.stack = {static_cast<std::byte*>(stack.sp) - stack.size, stack.size};
  const boost::context::preallocated place(stack.sp, stack.size, stack);
  fiber.context = boost::context::fiber(std::allocator_arg, place, allocator,
                                        [this, &fiber](boost::context::fiber&& caller) {
                                          main_stack_ = FiberSwitch::arrived();
                                          struct Farewell {
                                            const StackBounds& main;
                                            ~Farewell() { FiberSwitch::leave_for_good(main); }
                                          } const farewell{main_stack_};
                                          main_ = std::move(caller);
                                          fiber_loop(fiber);
                                          return std::move(main_);
                                        });
  return fiber;
}

void ThreadgroupRunner::start_or_resume() {
  const std::size_t waiting = ready_.size() - ready_head_;
  bool start = waiting == 0;
  if (shuffled_) {
    const std::uint64_t pick = random_() % (waiting + (count_ - started_));
    start = pick >= waiting;
    if (!start) std::swap(ready_[ready_head_], ready_[ready_head_ + pick]);
  }
  if (start) {
    const unsigned thread = order_[started_++];
    if (idle_.empty()) idle_.push_back(&new_fiber());
    threads_[thread].fiber = idle_.back();
    idle_.back()->thread = thread;
    idle_.pop_back();
    resume(thread);
  } else {
    const unsigned thread = ready_[ready_head_++];
    if (ready_head_ == ready_.size()) {
      ready_.clear();
      ready_head_ = 0;
    }
    resume(thread);
  }
}

void ThreadgroupRunner::resume(unsigned thread) {
  Fiber* fiber = threads_[thread].fiber;
  current_ = thread;
  threads_[thread].state = State::kRunning;
  const FiberSwitch to_fiber(fiber->stack);
  boost::context::fiber back = std::move(fiber->context).resume();
  // The fiber that gave way need not be the one that was resumed only if fibers switched among themselves;
  // they do not.
  fiber->context = std::move(back);
}

void ThreadgroupRunner::fiber_loop(Fiber& fiber) {
  while (true) {
    const unsigned thread = fiber.thread;
    current_ = thread;
    threads_[thread].state = State::kRunning;
    fill_state(thread);
    launch_->kernel->run(threads_[thread].values);
    leave(thread);
    // On with the next thread without a switch, where none that waits comes first.
    if (!shuffled_ && ready_head_ == ready_.size() && started_ < count_) {
      fiber.thread = order_[started_++];
      threads_[fiber.thread].fiber = &fiber;
      continue;
    }
    idle_.push_back(&fiber);
    give_way();
  }
}

void ThreadgroupRunner::give_way() {
  const FiberSwitch to_main(main_stack_);
  main_ = std::move(main_).resume();
}

/// Ends the threadgroup; does not return.
void ThreadgroupRunner::abandon() {
  abandoned_ = true;
  while (true) give_way();
}

void ThreadgroupRunner::make_ready(unsigned thread) {
  threads_[thread].state = State::kReady;
  if (thread != current_) ready_.push_back(thread);
}

void ThreadgroupRunner::leave(unsigned thread) {
  threads_[thread].state = State::kLeft;
  ++left_;
  Group& simdgroup = simdgroups_[thread / soft::kSimdWidth];
  simdgroup.live &= ~(1u << (thread - simdgroup.first));
  complete_if_all_wait(simdgroup);
  Group& quadgroup = quadgroups_[thread / soft::kQuadWidth];
  quadgroup.live &= ~(1u << (thread - quadgroup.first));
  complete_if_all_wait(quadgroup);
  release_barrier_if_all_wait();
}

const soft::Collective* ThreadgroupRunner::collect(soft::Scope scope, const void* value, unsigned bytes,
                                                   soft::Combine combine, const char* name, soft::Site site,
                                                   unsigned* lane) {
  const unsigned width = scope == soft::kSimdScope ? soft::kSimdWidth : soft::kQuadWidth;
  Group& group = (scope == soft::kSimdScope ? simdgroups_ : quadgroups_)[current_ / width];
  const unsigned self = current_;
  Thread& thread = threads_[self];
  thread.site = site;
  thread.operation = name;
  thread.combine = combine;
  if (bytes != 0) std::memcpy(thread.value, value, bytes);
  thread.state = State::kAtGroup;
  group.waiting |= 1u << (self - group.first);
  *lane = self - group.first;
  complete_if_all_wait(group);
  if (thread.state == State::kAtGroup) give_way();
  thread.state = State::kRunning;
  return &group.collective;
}

void ThreadgroupRunner::complete_if_all_wait(Group& group) {
  if (group.waiting == 0 || group.waiting != group.live) return;
  const Thread& first = threads_[group.first + static_cast<unsigned>(std::countr_zero(group.waiting))];
  for (std::uint32_t rest = group.waiting; rest != 0; rest &= rest - 1) {
    const Thread& other = threads_[group.first + static_cast<unsigned>(std::countr_zero(rest))];
    if (other.combine != first.combine || !same_site(first.site, other.site)) return;
  }
  complete(group, group.waiting);
}

void ThreadgroupRunner::complete(Group& group, std::uint32_t lanes) {
  soft::Collective& all = group.collective;
  all.active = lanes;
  soft::Combine combine = nullptr;
  for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<unsigned>(std::countr_zero(rest));
    const Thread& thread = threads_[group.first + lane];
    std::memcpy(all.values[lane], thread.value, soft::kSlotBytes);
    combine = thread.combine;
  }
  if (combine != nullptr) combine(&all);
  group.waiting &= ~lanes;
  for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    make_ready(group.first + static_cast<unsigned>(std::countr_zero(rest)));
  }
}

/// Lets those go on that wait at the operation that stands first in the source, with only some of the lanes.
bool ThreadgroupRunner::resolve_divergence(std::vector<Group>& groups) {
  bool any = false;
  for (Group& group : groups) {
    if (group.waiting == 0) continue;
    const Thread* first = nullptr;
    for (std::uint32_t rest = group.waiting; rest != 0; rest &= rest - 1) {
      const Thread& thread = threads_[group.first + static_cast<unsigned>(std::countr_zero(rest))];
      if (first == nullptr || thread.site.line < first->site.line) first = &thread;
    }
    std::uint32_t lanes = 0;
    for (std::uint32_t rest = group.waiting; rest != 0; rest &= rest - 1) {
      const auto lane = static_cast<unsigned>(std::countr_zero(rest));
      const Thread& thread = threads_[group.first + lane];
      if (thread.combine == first->combine && same_site(thread.site, first->site)) lanes |= 1u << lane;
    }
    if (observer_ != nullptr) {
      observer_->divergent_group(running(static_cast<unsigned>(first - threads_.data())), first->operation,
                                 first->site, static_cast<unsigned>(std::popcount(lanes)),
                                 static_cast<unsigned>(std::popcount(group.live)));
    }
    current_ = ~0u;  // nobody runs: all of them become ready
    complete(group, lanes);
    any = true;
  }
  return any;
}

bool ThreadgroupRunner::resolve_stuck() {
  if (resolve_divergence(quadgroups_) || resolve_divergence(simdgroups_)) return true;
  if (at_barrier_ == 0) return false;
  current_ = ~0u;
  release_barrier();
  return true;
}

void ThreadgroupRunner::barrier(unsigned flags, soft::Site site) {
  const unsigned self = current_;
  Thread& thread = threads_[self];
  thread.site = site;
  thread.flags = flags;
  thread.state = State::kAtBarrier;
  ++at_barrier_;
  release_barrier_if_all_wait();
  if (thread.state == State::kAtBarrier) give_way();
  thread.state = State::kRunning;
  if ((flags & soft::kDeviceMemory) != 0) ++thread.epochs.barrier[0];
  if ((flags & soft::kThreadgroupMemory) != 0) ++thread.epochs.barrier[1];
}

void ThreadgroupRunner::release_barrier_if_all_wait() {
  if (at_barrier_ != 0 && at_barrier_ + left_ == count_) release_barrier();
}

void ThreadgroupRunner::release_barrier() {
  const Thread* first = nullptr;
  bool several_lines = false;
  for (unsigned i = 0; i < count_; ++i) {
    if (threads_[i].state != State::kAtBarrier) continue;
    if (first == nullptr) first = &threads_[i];
    several_lines = several_lines || !same_site(first->site, threads_[i].site);
  }
  if (observer_ != nullptr && first != nullptr && (left_ != 0 || several_lines)) {
    observer_->divergent_barrier(running(static_cast<unsigned>(first - threads_.data())), first->site, left_,
                                 several_lines);
  }
  at_barrier_ = 0;
  for (unsigned i = 0; i < count_; ++i) {
    if (threads_[i].state == State::kAtBarrier) make_ready(i);
  }
}

}  // namespace lattice::msl
