#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <boost/context/fiber.hpp>

#include "msl/soft/dispatch.h"
#include "msl/soft/fiber_switch.h"
#include "msl/soft/observer.h"

namespace lattice::msl {

/// Runs threadgroups one after another on the calling thread, each GPU thread on a fiber of its own.
///
/// A fiber runs GPU thread after GPU thread until one has to wait, so that a kernel without barriers and
/// simdgroup operations costs no switch at all. A thread that waits gives way; the last to come to a barrier
/// or a simdgroup operation does what there is to do, and goes on. A simdgroup operation is complete when
/// every lane that has not left the kernel has come to it. Where lanes wait at different operations, the one
/// that stands first in the source goes first, with the lanes that wait there: what a GPU does with divergent
/// control flow.
class ThreadgroupRunner {
 public:
  ThreadgroupRunner();
  ~ThreadgroupRunner();
  ThreadgroupRunner(const ThreadgroupRunner&) = delete;
  ThreadgroupRunner& operator=(const ThreadgroupRunner&) = delete;

  /// The runtime to attach compiled modules to; its functions serve whichever runner the calling thread runs.
  static const soft::Runtime& runtime() noexcept;

  /// Who watches, or null. Set before the first run().
  void set_observer(Observer* observer) noexcept { observer_ = observer; }
  /// Starts and resumes threads in random order from now on, or in order with 0.
  void set_seed(std::uint64_t seed) { shuffled_ = seed != 0, random_.seed(seed); }

  /// Runs one threadgroup from start to end. Throws Error where it needs more threadgroup memory than Metal
  /// gives. Where the observer ends the threadgroup, its other threads stop where they are.
  void run(const Launch& launch, const Size3& threadgroup);

 private:
  enum class State : std::uint8_t { kUnstarted, kReady, kRunning, kAtBarrier, kAtGroup, kLeft };
  struct Fiber {
    Fiber() = default;
    ~Fiber();
    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;

    StackBounds stack;
    boost::context::fiber context;
    unsigned thread = 0;
  };
  struct Thread {
    State state = State::kUnstarted;
    Fiber* fiber = nullptr;
    soft::ThreadState values;
    Epochs epochs;
    soft::Site site{};  // of the operation that it waits at
    const char* operation = nullptr;
    soft::Combine combine = nullptr;
    unsigned flags = 0;
    alignas(16) unsigned char value[soft::kSlotBytes];
  };
  /// A simdgroup or a quadgroup.
  struct Group {
    unsigned first = 0;  // thread
    std::uint32_t live = 0;
    std::uint32_t waiting = 0;
    soft::Collective collective;
  };
  struct Variable {
    std::size_t offset = 0;
    std::size_t bytes = 0;
    bool announced = false;  // to the observer, in this threadgroup
  };

  static void on_threadgroup_barrier(unsigned flags, soft::Site site);
  static void on_simdgroup_barrier(unsigned flags, soft::Site site);
  static const soft::Collective* on_collect(soft::Scope scope, const void* value, unsigned bytes,
                                            soft::Combine combine, const char* name, soft::Site site,
                                            unsigned* lane);
  static void* on_threadgroup_variable(unsigned id, unsigned long bytes, unsigned long alignment);
  static unsigned on_lane();
  static void on_access(const volatile void* address, unsigned long bytes, soft::AccessKind kind,
                        const void* code);

  void prepare(const Launch& launch, const Size3& threadgroup);
  void prepare_groups(std::vector<Group>& groups, unsigned width);
  void bind_threadgroup_memory(const Launch& launch);
  void fill_state(unsigned thread);
  void start_or_resume();
  Fiber& new_fiber();
  void resume(unsigned thread);
  void fiber_loop(Fiber& fiber);
  void leave(unsigned thread);
  void give_way();
  void abandon();
  bool resolve_stuck();
  bool resolve_divergence(std::vector<Group>& groups);
  void make_ready(unsigned thread);

  const soft::Collective* collect(soft::Scope scope, const void* value, unsigned bytes, soft::Combine combine,
                                  const char* name, soft::Site site, unsigned* lane);
  void complete_if_all_wait(Group& group);
  void complete(Group& group, std::uint32_t lanes);
  void barrier(unsigned flags, soft::Site site);
  void release_barrier_if_all_wait();
  void release_barrier();
  void* threadgroup_variable(unsigned id, std::size_t bytes, std::size_t alignment);
  std::size_t place(std::size_t bytes, std::size_t alignment);
  [[nodiscard]] RunningThread running(unsigned thread) const {
    return {&threads_[thread].values, threadgroup_index_, &threads_[thread].epochs};
  }

  Observer* observer_ = nullptr;
  bool shuffled_ = false;
  std::mt19937_64 random_;

  const Launch* launch_ = nullptr;
  soft::ThreadState common_{};  // what a threadgroup's threads share
  std::uint32_t threadgroup_index_ = 0;
  unsigned count_ = 0;  // threads
  unsigned started_ = 0;
  unsigned left_ = 0;
  unsigned at_barrier_ = 0;
  unsigned current_ = 0;
  std::vector<Thread> threads_;
  std::vector<unsigned> order_;  // in which threads start
  std::vector<unsigned> ready_;
  std::size_t ready_head_ = 0;
  std::vector<Group> simdgroups_;
  std::vector<Group> quadgroups_;

  boost::context::fiber main_;
  StackBounds main_stack_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_;
  bool abandoned_ = false;
  std::string failure_;

  std::unique_ptr<std::byte[]> arena_;  // threadgroup memory
  std::size_t used_ = 0;                // with the zones between variables
  std::size_t used_bytes_ = 0;          // without
  std::vector<Variable> variables_;     // by id
  std::array<void*, kBindings> threadgroup_memory_ = {};
};

}  // namespace lattice::msl
