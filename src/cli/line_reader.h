#pragma once

#include <memory>
#include <string>

namespace lattice::cli {

/// Reads lines that a person types: on a terminal with arrow keys and the history of this run, where the
/// program was built with libedit; from a pipe as they come.
class LineReader {
 public:
  enum class Outcome {
    kLine,
    kInterrupted,  ///< Ctrl-C (an InterruptGuard must live); what was typed is dropped
    kEnd,          ///< Ctrl-D at an empty line, or the end of the pipe
  };

  LineReader();
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  /// Reads one line into `line`, without its newline. `prompt` is shown on terminals only.
  [[nodiscard]] Outcome read(const std::string& prompt, std::string& line);
  /// After kInterrupted: whether the line had nothing on it yet.
  [[nodiscard]] bool was_empty() const noexcept { return was_empty_; }
  /// Whether a person types, rather than a pipe.
  [[nodiscard]] bool is_interactive() const noexcept { return interactive_; }

 private:
  struct Editor;

  [[nodiscard]] Outcome read_plain(const std::string& prompt, std::string& line);

  bool interactive_;
  bool was_empty_ = true;
  std::string read_ahead_;          // of a pipe: what came with the lines before
  std::unique_ptr<Editor> editor_;  // none for pipes, and where there is no libedit
};

}  // namespace lattice::cli
