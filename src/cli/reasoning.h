#pragma once

#include <string>
#include <string_view>

namespace lattice::cli {

/// Splits a reply, as it comes, into what the model thinks (between "<think>" and "</think>") and what it
/// answers. Blank space around either is dropped.
class ReasoningSplitter {
 public:
  struct Parts {
    std::string reasoning;
    std::string answer;
  };

  /// `starts_inside`: the prompt has "<think>" as its end already.
  explicit ReasoningSplitter(bool starts_inside) : inside_(starts_inside) {}

  /// What `text` adds to either. What may be the beginning of a tag waits for the next call.
  [[nodiscard]] Parts push(std::string_view text);
  /// What waited, at the end of the reply.
  [[nodiscard]] Parts finish();

 private:
  void emit(std::string_view text, Parts& parts);

  bool inside_;
  bool at_start_ = true;      // of the reply, where alone "<think>" is a tag
  bool blank_so_far_ = true;  // nothing but blanks since the last tag
  std::string held_;          // a possible beginning of a tag
  std::string blanks_;        // blanks that belong to the text only if more text follows
};

/// Whether a prompt leaves the model inside its thinking.
[[nodiscard]] bool ends_inside_reasoning(std::string_view prompt) noexcept;

}  // namespace lattice::cli
