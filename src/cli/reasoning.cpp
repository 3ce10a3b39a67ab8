#include "cli/reasoning.h"

#include <algorithm>

namespace lattice::cli {
namespace {

constexpr std::string_view kOpen = "<think>";
constexpr std::string_view kClose = "</think>";
constexpr std::string_view kBlanks = " \t\r\n";

/// How many bytes at the end of `text` are a beginning of `tag`.
std::size_t partial_tag(std::string_view text, std::string_view tag) noexcept {
  for (std::size_t n = std::min(text.size(), tag.size() - 1); n > 0; --n) {
    if (tag.starts_with(text.substr(text.size() - n))) return n;
  }
  return 0;
}

}  // namespace

ReasoningSplitter::Parts ReasoningSplitter::push(std::string_view text) {
  Parts parts;
  held_ += text;
  while (inside_ || at_start_) {
    const std::string_view tag = inside_ ? kClose : kOpen;
    const std::size_t at = held_.find(tag);
    const bool is_tag = at != std::string::npos && (inside_ || held_.find_first_not_of(kBlanks) == at);
    if (!is_tag) break;
    emit(std::string_view(held_).substr(0, at), parts);
    held_.erase(0, at + tag.size());
    inside_ = !inside_;
    at_start_ = false;
    blank_so_far_ = true;
    blanks_.clear();
  }
  std::size_t keep = 0;
  if (inside_) keep = partial_tag(held_, kClose);
  if (!inside_ && at_start_) {
    const std::size_t first = std::min(held_.find_first_not_of(kBlanks), held_.size());
    const std::string_view rest = std::string_view(held_).substr(first);
    if (kOpen.starts_with(rest)) keep = held_.size();
  }
  emit(std::string_view(held_).substr(0, held_.size() - keep), parts);
  held_.erase(0, held_.size() - keep);
  return parts;
}

ReasoningSplitter::Parts ReasoningSplitter::finish() {
  Parts parts;
  emit(held_, parts);
  held_.clear();
  return parts;
}

void ReasoningSplitter::emit(std::string_view text, Parts& parts) {
  if (blank_so_far_) text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  if (text.empty()) return;
  blank_so_far_ = false;
  if (!inside_) at_start_ = false;
  const std::size_t end = text.find_last_not_of(kBlanks) + 1;  // 0 where all of it is blank
  std::string& out = inside_ ? parts.reasoning : parts.answer;
  if (end > 0) {
    out += blanks_;
    blanks_.clear();
    out += text.substr(0, end);
  }
  blanks_ += text.substr(end);
}

bool ends_inside_reasoning(std::string_view prompt) noexcept {
  const std::size_t last = prompt.find_last_not_of(kBlanks);
  return last != std::string_view::npos && prompt.substr(0, last + 1).ends_with(kOpen);
}

}  // namespace lattice::cli
