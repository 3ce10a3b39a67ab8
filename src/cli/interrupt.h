#pragma once

namespace lattice::cli {

/// While one of these lives, Ctrl-C (SIGINT) is noted rather than ending the program. One at a time.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  /// Whether Ctrl-C came since the guard was made or clear() was called.
  [[nodiscard]] static bool interrupted() noexcept;
  static void clear() noexcept;
  /// Waits until `file` has something to read, or has ended: true; or until Ctrl-C comes or has come: false.
  /// It does not matter which thread the signal meets, nor whether it comes just before the wait.
  [[nodiscard]] static bool wait_for_input(int file);
};

/// Ends the program as Ctrl-C would have ended it, so that a shell script that called it stops as well.
[[noreturn]] void die_of_interrupt();

}  // namespace lattice::cli
