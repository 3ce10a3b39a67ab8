#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace lattice {

/// A fixed team of threads that run one phase after another together, the caller being thread 0.
///
/// A phase costs one release and one join, both of which spin for some tens of microseconds and then park in
/// the kernel: so phases that follow each other closely pay for a cache line crossing, and a machine that is
/// busy with other work is not held up by spinning. No phase allocates. One phase at a time: run() is not to
/// be called from two threads or from inside a phase.
class ThreadPool {
 public:
  /// `threads` of them, the caller included; at least one. With `pin` each of them but the caller, who is not
  /// the pool's, stays on one of the processors that the process may use, as far as there are some on one of
  /// its own. On Linux; elsewhere it does nothing.
  explicit ThreadPool(int threads, bool pin = false);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  [[nodiscard]] int size() const noexcept { return static_cast<int>(workers_.size()) + 1; }
  /// Phases run so far.
  [[nodiscard]] std::int64_t phases() const noexcept { return phases_; }

  /// Calls phase(0) … phase(size() − 1), each on its own thread, and returns when all have. Rethrows the
  /// first exception that any of them threw.
  template <typename Phase>
  void run(Phase&& phase) {
    using Callable = std::remove_reference_t<Phase>;
    run_erased([](void* context, int thread) { (*static_cast<Callable*>(context))(thread); },
               const_cast<void*>(static_cast<const void*>(std::addressof(phase))));
  }

 private:
  using Function = void (*)(void* context, int thread);

  void run_erased(Function function, void* context);
  void work(int thread);
  void call(int thread) noexcept;

  /// A number that threads wait for a change of: they spin, then park.
  class alignas(64) Signal {
   public:
    [[nodiscard]] std::uint32_t value() const noexcept { return value_.load(std::memory_order_acquire); }
    void wait_while(std::uint32_t old) noexcept;
    void set(std::uint32_t value) noexcept { value_.store(value, std::memory_order_relaxed); }
    /// Returns the new value.
    std::uint32_t add(std::uint32_t difference) noexcept;
    void wake() noexcept;

   private:
    std::atomic<std::uint32_t> value_{0};
    // Those who park. The library asks the kernel to wake a thread where any of the process's is parked, be
    // it for another number.
    std::atomic<std::uint32_t> parked_{0};
  };

  // Each on a cache line of its own: workers spin on the first while others count the second down.
  Signal generation_;
  Signal unfinished_;
  alignas(64) Function function_ = nullptr;
  void* context_ = nullptr;
  std::int64_t phases_ = 0;
  bool stop_ = false;
  std::mutex failure_mutex_;
  std::exception_ptr failure_;
  std::vector<std::thread> workers_;
};

/// The part of `total` items that thread `thread` of `threads` takes: [first, last), contiguous, sizes
/// differing by one at most.
struct Share {
  std::int64_t first;
  std::int64_t last;
};
[[nodiscard]] constexpr Share share_of(std::int64_t total, int thread, int threads) noexcept {
  return {total * thread / threads, total * (thread + 1) / threads};
}

/// Processors that this process may run on.
[[nodiscard]] int usable_processors() noexcept;

}  // namespace lattice
