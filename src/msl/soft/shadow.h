#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "msl/soft/observer.h"

namespace lattice::msl {

/// Who last touched each byte of a piece of memory, and whether what happens next races with it.
///
/// Two accesses to a byte race where they come from different threads, at least one writes, not both are
/// atomic, and nothing orders them: for threads of a threadgroup a barrier whose flags name the memory, for
/// lanes of a simdgroup a simdgroup barrier too, for different threadgroups nothing in a dispatch. The
/// judgement is made on the order that barriers impose and not on the order in which the fibers happened to
/// run, so one run finds what another interleaving would suffer from. A byte remembers its last writer and
/// two readers: with more readers some races can be missed, but none is ever reported that is not there.
class Shadow {
 public:
  struct Access {
    std::uint32_t threadgroup;
    std::uint32_t barrier;
    std::uint32_t simdgroup_barrier;
    std::uint16_t thread;
    soft::AccessKind kind : 8;
    bool present : 8;
  };
  struct Race {
    std::size_t byte;
    Access other;
  };

  /// `space`: 0 for device memory, 1 for threadgroup memory (whose barriers' flags count).
  Shadow(std::size_t bytes, int space);
  ~Shadow();
  Shadow(const Shadow&) = delete;
  Shadow& operator=(const Shadow&) = delete;

  [[nodiscard]] std::size_t size() const noexcept { return bytes_; }
  /// Forgets everything about [begin, begin + count).
  void clear(std::size_t begin, std::size_t count) noexcept;
  /// Takes an access down and returns the first race that it makes.
  std::optional<Race> record(const RunningThread& thread, std::size_t begin, std::size_t count,
                             soft::AccessKind kind);
  /// Whether every byte has been written since it was cleared.
  [[nodiscard]] bool written(std::size_t begin, std::size_t count) const noexcept;

 private:
  struct Cell {
    Access writer;
    Access readers[2];
  };

  [[nodiscard]] static bool races(const Access& before, const Access& now) noexcept;
  [[nodiscard]] static bool ordered(const Access& before, const Access& now) noexcept;

  std::size_t bytes_;
  int space_;
  Cell* cells_;  // mapped, so that untouched cells cost nothing and begin as zeros
};

}  // namespace lattice::msl
