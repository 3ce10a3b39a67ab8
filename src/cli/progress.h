#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "lattice/model.hpp"

namespace lattice::cli {

/// What a watched piece of work is counted in.
enum class ProgressUnit : std::uint8_t { kBytes, kTokens };

/// Shows on standard error how far long work has come. On a terminal: one line that is redrawn at most ten
/// times a second and erased at the end. Elsewhere: a plain line at every tenth of the work, and nothing at
/// all for work that takes less than a second.
class ProgressBar {
 public:
  /// A quiet one shows nothing.
  ProgressBar(ProgressUnit unit, bool quiet);
  ~ProgressBar() { finish(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  /// For the library; valid as long as the bar is. Empty for a quiet bar.
  [[nodiscard]] ProgressCallback callback();
  /// Erases the line, if one is drawn. A later report begins anew.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;

  void report(std::string_view what, std::int64_t done, std::int64_t total);
  void draw(std::int64_t done, std::int64_t total, double seconds);
  void write_line(std::int64_t done, std::int64_t total, double seconds);

  ProgressUnit unit_;
  bool quiet_;
  bool on_terminal_;
  std::string what_;  // of the work that is under way; empty: none
  Clock::time_point begin_;
  Clock::time_point drawn_;
  bool is_drawn_ = false;
  std::int64_t tenths_ = 0;  // written so far
};

/// "loading  [#######-------]  50 %  1.20 GB/s  3.2 s left", at most `columns` wide.
[[nodiscard]] std::string progress_line(std::string_view what, std::int64_t done, std::int64_t total,
                                        double seconds, ProgressUnit unit, int columns);

}  // namespace lattice::cli
