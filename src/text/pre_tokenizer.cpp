#include "text/pre_tokenizer.h"

#include "text/utf8_text.h"

namespace lattice {
namespace {

/// What the patterns tell apart.
enum Class : std::uint8_t {
  kOther,    // punctuation, symbols, controls, unassigned; marks for Qwen2
  kLetter,   // \p{L}; and \p{M} for Qwen3.5
  kNumber,   // \p{N}
  kSpace,    // \s but for the next
  kNewline,  // \r and \n
  kEnd,      // the end of the text
};

CharacterTable classes_of(PreTokenizerKind kind) {
  return CharacterTable([kind](std::uint8_t properties) -> std::uint8_t {
    switch (properties & unicode::kClassMask) {
      case unicode::kLetter:
        return kLetter;
      case unicode::kMark:
        return kind == PreTokenizerKind::kQwen35 ? kLetter : kOther;
      case unicode::kNumber:
        return kNumber;
      case unicode::kSpace:
        return kSpace;
      default:
        return kOther;
    }
  });
}

/// Looks for the end of one word. The alternatives of the pattern are tried in its order; as in any
/// backtracking engine, the first that matches decides.
class Scanner {
 public:
  Scanner(const CharacterTable& classes, const std::array<std::uint8_t, 128>& ascii, std::string_view text)
      : classes_(classes), ascii_(ascii), begin_(text.data()), end_(text.data() + text.size()) {}

  [[nodiscard]] const char* word_end() const {
    if (*begin_ == '\'') {
      if (const std::size_t length = contraction_length(); length > 0) return begin_ + length;
    }
    const auto [first, next] = at(begin_);
    if (first == kLetter) return run_end(next, kLetter);  // [^\r\n\p{L}\p{N}]?\p{L}+, with nothing before
    if (first == kNumber) return next;                    // \p{N}
    if (first == kNewline) return space_end();
    const auto [second, after] = at(next);
    if (second == kLetter) return run_end(after, kLetter);                 // [^\r\n\p{L}\p{N}]?\p{L}+
    if (first == kOther) return run_end(run_end(next, kOther), kNewline);  //  ?[^\s\p{L}\p{N}]+[\r\n]*
    if (*begin_ == ' ' && second == kOther) return run_end(run_end(after, kOther), kNewline);
    return space_end();
  }

 private:
  struct Step {
    Class kind;
    const char* next;  // the character after
  };

  [[nodiscard]] Step at(const char* p) const {
    if (p == end_) return {kEnd, p};
    const auto byte = static_cast<std::uint8_t>(*p);
    if (byte < 0x80) return {static_cast<Class>(ascii_[byte]), p + 1};
    const Character character = character_at(p);
    return {static_cast<Class>(classes_[character.code]), p + character.length};
  }

  /// Past the characters of class `kind` that stand at `p`.
  [[nodiscard]] const char* run_end(const char* p, Class kind) const {
    for (Step step = at(p); step.kind == kind; step = at(p)) p = step.next;
    return p;
  }

  /// (?i:'s|'t|'re|'ve|'m|'ll|'d), or 0. Case folding takes U+017F, the long s, for an s.
  [[nodiscard]] std::size_t contraction_length() const {
    const auto lower = [this](std::ptrdiff_t i) {
      if (end_ - begin_ <= i) return '\0';
      const char c = begin_[i];
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
    };
    switch (lower(1)) {
      case 's':
      case 't':
      case 'm':
      case 'd':
        return 2;
      case 'r':
      case 'v':
        return lower(2) == 'e' ? 3 : 0;
      case 'l':
        return lower(2) == 'l' ? 3 : 0;
      case '\xc5':
        return lower(2) == '\xbf' ? 3 : 0;
      default:
        return 0;
    }
  }

  /// \s*[\r\n]+|\s+(?!\S)|\s+ at a space or line end: as far as the last line end, or where there is none, to
  /// the last space before something else, which that may take as its own.
  [[nodiscard]] const char* space_end() const {
    const char* after_newline = nullptr;
    const char* last = begin_;  // the run's last character
    const char* p = begin_;
    for (Step step = at(p); step.kind == kSpace || step.kind == kNewline; step = at(p)) {
      last = p;
      p = step.next;
      if (step.kind == kNewline) after_newline = p;
    }
    if (after_newline != nullptr) return after_newline;
    return p == end_ || last == begin_ ? p : last;
  }

  const CharacterTable& classes_;
  const std::array<std::uint8_t, 128>& ascii_;
  const char* begin_;
  const char* end_;
};

}  // namespace

PreTokenizer::PreTokenizer(PreTokenizerKind kind) : classes_(classes_of(kind)) {
  for (std::size_t c = 0; c < ascii_.size(); ++c) ascii_[c] = classes_[static_cast<char32_t>(c)];
  ascii_['\r'] = ascii_['\n'] = kNewline;
}

std::size_t PreTokenizer::word_length(std::string_view text) const {
  return static_cast<std::size_t>(Scanner(classes_, ascii_, text).word_end() - text.data());
}

}  // namespace lattice
