#include "support/thread_pool.h"

#ifdef __linux__
#include <pthread.h>
#include <sched.h>
#endif

#include <algorithm>
#include <utility>

namespace lattice {
namespace {

// About 20 to 50 µs of pauses: longer than the gap between two phases of a decode step, shorter than a
// scheduler's slice.
constexpr int kSpins = 1000;

void pause_briefly() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

#ifdef __linux__
std::vector<int> usable_processor_ids() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> ids;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return ids;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) ids.push_back(cpu);
  }
  return ids;
}

void pin_to(pthread_t thread, int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  pthread_setaffinity_np(thread, sizeof set, &set);  // best effort: a refusal costs speed and nothing else
}
#endif

}  // namespace

int usable_processors() noexcept {
#ifdef __linux__
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(CPU_COUNT(&set), 1);
#endif
  return std::max(static_cast<int>(std::thread::hardware_concurrency()), 1);
}

void ThreadPool::Signal::wait_while(std::uint32_t old) noexcept {
  for (int i = 0; i < kSpins; ++i) {
    if (value() != old) return;
    pause_briefly();
  }
  // In one order with add() and wake(): either they see that someone parks, or wait() sees the new value.
  parked_.fetch_add(1);
  while (value_.load() == old) value_.wait(old);
  parked_.fetch_sub(1);
}

std::uint32_t ThreadPool::Signal::add(std::uint32_t difference) noexcept {
  return value_.fetch_add(difference) + difference;
}

void ThreadPool::Signal::wake() noexcept {
  if (parked_.load() != 0) value_.notify_all();
}

ThreadPool::ThreadPool(int threads, [[maybe_unused]] bool pin) {
  for (int thread = 1; thread < threads; ++thread) workers_.emplace_back([this, thread] { work(thread); });
#ifdef __linux__
  if (!pin) return;
  const std::vector<int> cpus = usable_processor_ids();
  if (cpus.empty()) return;
  for (std::size_t i = 0; i < workers_.size(); ++i)
    pin_to(workers_[i].native_handle(), cpus[(i + 1) % cpus.size()]);
#endif
}

ThreadPool::~ThreadPool() {
  stop_ = true;
  generation_.add(1);
  generation_.wake();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::call(int thread) noexcept {
  try {
    function_(context_, thread);
  } catch (...) {
    const std::lock_guard lock(failure_mutex_);
    if (!failure_) failure_ = std::current_exception();
  }
}

void ThreadPool::work(int thread) {
  std::uint32_t seen = 0;
  while (true) {
    generation_.wait_while(seen);
    ++seen;  // phases do not overlap, so that a worker never misses one
    if (stop_) return;
    call(thread);
    if (unfinished_.add(~std::uint32_t{0}) == 0) unfinished_.wake();  // one less
  }
}

void ThreadPool::run_erased(Function function, void* context) {
  function_ = function;
  context_ = context;
  ++phases_;
  if (!workers_.empty()) {
    unfinished_.set(static_cast<std::uint32_t>(workers_.size()));
    generation_.add(1);
    generation_.wake();
  }
  call(0);
  for (std::uint32_t left = unfinished_.value(); left != 0; left = unfinished_.value())
    unfinished_.wait_while(left);
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

}  // namespace lattice
