#include "msl/lexer.h"

#include <array>

#include "support/printable.h"

namespace lattice::msl {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Bytes from 0x80 up are the parts of a UTF-8 identifier.
bool starts_identifier(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' ||
         static_cast<unsigned char>(c) >= 0x80;
}

bool continues_identifier(char c) {
  return starts_identifier(c) || is_digit(c);
}

// Longest first, so that the first match is the longest.
constexpr std::array<std::string_view, 26> kLongPunctuators = {
    "<<=", ">>=", "...", "->*", "::", "->", "++", "--", "<<", ">>", "<=", ">=", "==",
    "!=",  "&&",  "||",  "+=",  "-=", "*=", "/=", "%=", "&=", "|=", "^=", "##", ".*"};
constexpr std::string_view kPunctuators = "{}[]()<>;:,.?!~+-*/%&|^=#@";

class Lexer {
 public:
  Lexer(const SourceSet& sources, std::string_view text, const Token& start)
      : sources_(sources), text_(text), place_(start) {}

  Tokens run() {
    Tokens out;
    while (skip_space()) {
      Token token = place_;
      token.space_before = space_;
      token.first_on_line = new_line_;
      const std::size_t begin = at_;
      token.kind = scan();
      token.text = text_.substr(begin, at_ - begin);
      out.push_back(token);
      space_ = false;
      new_line_ = false;
    }
    return out;
  }

 private:
  [[nodiscard]] char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }

  /// Moves to the next token; false at the end.
  bool skip_space() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '\n') {
        ++place_.line;
        new_line_ = true;
        ++at_;
      } else if (c == ' ' || c == '\t' || c == '\v' || c == '\f') {
        ++at_;
      } else if (c == '/' && peek(1) == '/') {
        while (at_ < text_.size() && text_[at_] != '\n') ++at_;
      } else if (c == '/' && peek(1) == '*') {
        skip_block_comment();
      } else {
        return true;
      }
      space_ = true;
    }
    return false;
  }

  void skip_block_comment() {
    const std::size_t end = text_.find("*/", at_ + 2);
    if (end == std::string_view::npos) fail_at(sources_, place_, "the comment does not end");
    for (; at_ < end + 2; ++at_) {
      if (text_[at_] != '\n') continue;
      ++place_.line;
      new_line_ = true;
    }
  }

  TokenKind scan() {
    const char c = peek();
    if (c == '"' || c == '\'') return scan_quoted(c);
    if (starts_identifier(c)) {
      while (continues_identifier(peek())) ++at_;
      return TokenKind::kIdentifier;
    }
    if (is_digit(c) || (c == '.' && is_digit(peek(1)))) return scan_number();
    for (const std::string_view punctuator : kLongPunctuators) {
      if (text_.substr(at_, punctuator.size()) != punctuator) continue;
      at_ += punctuator.size();
      return TokenKind::kPunctuator;
    }
    if (kPunctuators.find(c) == std::string_view::npos) {
      fail_at(sources_, place_, "unexpected character {}", printable(text_.substr(at_, 1)));
    }
    ++at_;
    return TokenKind::kPunctuator;
  }

  // A preprocessing number: digits, letters, dots, digit separators, and signs behind an exponent's letter.
  TokenKind scan_number() {
    const bool hexadecimal = peek() == '0' && (peek(1) == 'x' || peek(1) == 'X');
    while (true) {
      const char c = peek();
      const bool exponent = hexadecimal ? c == 'p' || c == 'P' : c == 'e' || c == 'E';
      if (exponent && (peek(1) == '+' || peek(1) == '-')) {
        at_ += 2;
      } else if (continues_identifier(c) || c == '.' || (c == '\'' && continues_identifier(peek(1)))) {
        ++at_;
      } else {
        return TokenKind::kNumber;
      }
    }
  }

  TokenKind scan_quoted(char quote) {
    const std::size_t begin = at_++;
    while (peek() != quote) {
      if (at_ >= text_.size() || peek() == '\n') {
        at_ = begin;
        fail_at(sources_, place_, "{} does not end on its line",
                quote == '"' ? "the string" : "the character");
      }
      at_ += peek() == '\\' ? 2 : 1;
    }
    ++at_;
    return quote == '"' ? TokenKind::kString : TokenKind::kCharacter;
  }

  const SourceSet& sources_;
  std::string_view text_;
  std::size_t at_ = 0;
  Token place_;
  bool space_ = false;
  bool new_line_ = true;
};

}  // namespace

Tokens tokenize(const SourceSet& sources, std::uint16_t file) {
  Token start;
  start.file = file;
  start.line = 1;
  return Lexer(sources, sources.file(file).text, start).run();
}

Tokens tokenize_pasted(const SourceSet& sources, std::string_view text, const Token& place) {
  Tokens out = Lexer(sources, text, place).run();
  for (Token& token : out) token.first_on_line = false;
  if (!out.empty()) out.front().space_before = place.space_before;
  return out;
}

}  // namespace lattice::msl
