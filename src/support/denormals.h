#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace lattice {

/// While it lives, this thread takes float numbers below 2^-126 for 0 and rounds such results to 0. Some
/// processors compute with them a hundred times slower, a decayed state or a far key's softmax weight holds
/// many, and no logit can tell the difference. Does nothing where the processor offers no such mode.
class FlushDenormals {
 public:
  FlushDenormals() noexcept : before_(read()) { write(before_ | kFlush); }
  ~FlushDenormals() { write(before_); }
  /// The same for good, for threads that do nothing else.
  static void always() noexcept { write(read() | kFlush); }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
#if defined(__x86_64__)
  static constexpr std::uint64_t kFlush = 0x8040;  // MXCSR: flush to zero, denormals are zero
  static std::uint64_t read() noexcept {
    return _mm_getcsr();
  }
  static void write(std::uint64_t mode) noexcept {
    _mm_setcsr(static_cast<unsigned>(mode));
  }
#elif defined(__aarch64__)
  static constexpr std::uint64_t kFlush = std::uint64_t{1} << 24;  // FPCR.FZ
  static std::uint64_t read() noexcept {
    std::uint64_t mode;
    asm volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
  }
  static void write(std::uint64_t mode) noexcept {
    asm volatile("msr fpcr, %0" : : "r"(mode));
  }
#else
  static constexpr std::uint64_t kFlush = 0;
  static std::uint64_t read() noexcept {
    return 0;
  }
  static void write(std::uint64_t) noexcept {}
#endif

  std::uint64_t before_;
};

}  // namespace lattice
