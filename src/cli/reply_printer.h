#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cli/reasoning.h"

namespace lattice::cli {

/// Prints what a model writes, on standard output, as it comes. On a terminal, a chat model's thinking is
/// dim, without its tags, and control characters are shown as U+FFFD; elsewhere the text goes out as the
/// model wrote it.
class ReplyPrinter {
 public:
  /// For text that goes on.
  ReplyPrinter();
  /// For the reply to `prompt`, which a chat template made.
  explicit ReplyPrinter(std::string_view prompt);

  void push(std::string_view text);
  /// Ends the reply and its line.
  void finish();

  /// Of a chat model's reply so far; empty otherwise.
  [[nodiscard]] const std::string& reasoning() const noexcept { return reasoning_; }
  [[nodiscard]] const std::string& answer() const noexcept { return answer_; }

 private:
  void take(const ReasoningSplitter::Parts& parts);

  bool on_terminal_;
  bool line_is_open_ = false;  // something was printed since the last newline
  std::optional<ReasoningSplitter> splitter_;
  std::string reasoning_;
  std::string answer_;
};

}  // namespace lattice::cli
