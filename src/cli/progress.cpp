#include "cli/progress.h"

#include <algorithm>

#include <fmt/format.h>

#include "cli/output.h"
#include "cli/terminal.h"
#include "cli/units.h"

namespace lattice::cli {
namespace {

using namespace std::chrono_literals;
constexpr auto kRedraw = 100ms;
constexpr auto kTerminalDelay = 250ms;  // shorter work than this would only flicker
constexpr auto kPlainDelay = 1s;
constexpr int kBarColumns = 24;
constexpr std::string_view kEraseLine = "\r\x1b[K";

double fraction_of(std::int64_t done, std::int64_t total) {
  return total <= 0 ? 1.0 : std::clamp(static_cast<double>(done) / static_cast<double>(total), 0.0, 1.0);
}

std::string rate_text(std::int64_t done, double seconds, ProgressUnit unit) {
  const double rate = static_cast<double>(done) / std::max(seconds, 1e-9);
  return unit == ProgressUnit::kBytes ? format_bytes(rate) + "/s" : format_figure(rate) + " tok/s";
}

}  // namespace

std::string progress_line(std::string_view what, std::int64_t done, std::int64_t total, double seconds,
                          ProgressUnit unit, int columns) {
  const double fraction = fraction_of(done, total);
  const int filled = static_cast<int>(fraction * kBarColumns);
  std::string line = fmt::format("{}  [{:#<{}}{:-<{}}]  {:3.0f} %  {}", what, "", filled, "",
                                 kBarColumns - filled, fraction * 100, rate_text(done, seconds, unit));
  if (fraction > 0) line += fmt::format("  {} left", format_seconds(seconds / fraction - seconds));
  // A line that wraps could not be erased. Everything in it is ASCII, so bytes are columns.
  return line.substr(0, static_cast<std::size_t>(std::max(columns - 1, 0)));
}

ProgressBar::ProgressBar(ProgressUnit unit, bool quiet)
    : unit_(unit), quiet_(quiet), on_terminal_(is_terminal(Stream::kError)) {}

ProgressCallback ProgressBar::callback() {
  if (quiet_) return {};
  return [this](std::string_view what, std::int64_t done, std::int64_t total) { report(what, done, total); };
}

void ProgressBar::finish() {
  if (is_drawn_) print_error_text(kEraseLine);
  is_drawn_ = false;
  what_.clear();
}

void ProgressBar::report(std::string_view what, std::int64_t done, std::int64_t total) {
  const auto now = Clock::now();
  if (what_ != what) {
    finish();
    what_ = what;
    begin_ = now;
    tenths_ = 0;
  }
  const double seconds = std::chrono::duration<double>(now - begin_).count();
  if (on_terminal_) {
    if (now - begin_ < kTerminalDelay || (is_drawn_ && now - drawn_ < kRedraw)) return;
    drawn_ = now;
    draw(done, total, seconds);
  } else if (now - begin_ >= kPlainDelay) {
    write_line(done, total, seconds);
  }
}

void ProgressBar::draw(std::int64_t done, std::int64_t total, double seconds) {
  const std::string line =
      progress_line(what_, done, total, seconds, unit_, terminal_columns(Stream::kError));
  print_error_text(std::string(kEraseLine) + line);
  is_drawn_ = true;
}

void ProgressBar::write_line(std::int64_t done, std::int64_t total, double seconds) {
  const auto tenths = static_cast<std::int64_t>(fraction_of(done, total) * 10);
  if (tenths <= tenths_) return;
  tenths_ = tenths;
  print_error_text(fmt::format("{}: {} %, {}\n", what_, tenths * 10, rate_text(done, seconds, unit_)));
}

}  // namespace lattice::cli
