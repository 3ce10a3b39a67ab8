#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "support/thread_pool.h"

namespace lattice {

/// A phase's items, dealt to its threads and taken by them piece by piece. A thread that is done with its own
/// takes half of what another has left: so none waits long for one that is slower, for whatever reason. After
/// Blumofe and Leiserson, "Scheduling multithreaded computations by work stealing" (J. ACM 46, 1999).
///
/// All items of a phase are taken before it ends: whoever takes a piece does not throw.
class SharedWork {
 public:
  explicit SharedWork(int threads) : shares_(static_cast<std::size_t>(threads)) {}

  /// Gives `thread`, which calls this at the beginning of a phase, its items: of [0, 2³²), all threads' apart
  /// from each other.
  void deal(int thread, Share share) noexcept;
  /// The next piece for `thread`, a multiple of `grain` where as much is left together; false if nobody has
  /// any left.
  [[nodiscard]] bool take(int thread, std::int64_t grain, Share& piece) noexcept;

 private:
  // First and last in one word, each on a cache line of its own: usually one thread alone writes it.
  struct alignas(64) Left {
    std::atomic<std::uint64_t> range{0};
  };

  [[nodiscard]] bool take_own(int thread, std::int64_t grain, Share& piece) noexcept;
  [[nodiscard]] bool take_half(int thread, int other) noexcept;

  std::vector<Left> shares_;
};

}  // namespace lattice
