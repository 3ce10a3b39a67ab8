#include "msl/pp_condition.h"

#include <charconv>
#include <limits>
#include <string>

#include "support/printable.h"

namespace lattice::msl {
namespace {

// The condition of a shader is a line long; the limit keeps a hostile one from exhausting the stack.
constexpr int kMaxDepth = 256;

class Condition {
 public:
  Condition(const SourceSet& sources, const Tokens& tokens, const Token& place)
      : sources_(sources), tokens_(tokens), place_(place) {}

  std::int64_t run() {
    const std::int64_t value = ternary();
    if (at_ != tokens_.size())
      fail_at(sources_, place_, "unexpected {} in the condition", printable(tokens_[at_].text));
    return value;
  }

 private:
  [[nodiscard]] std::string_view peek() const {
    return at_ < tokens_.size() ? tokens_[at_].text : std::string_view{};
  }
  bool accept(std::string_view text) {
    if (peek() != text) return false;
    ++at_;
    return true;
  }

  std::int64_t ternary() {
    const std::int64_t condition = binary(0);
    if (!accept("?")) return condition;
    const std::int64_t yes = ternary();
    if (!accept(":")) fail_at(sources_, place_, "the condition has ? without :");
    const std::int64_t no = ternary();
    return condition != 0 ? yes : no;
  }

  static int precedence(std::string_view op) {
    if (op == "||") return 1;
    if (op == "&&") return 2;
    if (op == "|") return 3;
    if (op == "^") return 4;
    if (op == "&") return 5;
    if (op == "==" || op == "!=") return 6;
    if (op == "<" || op == ">" || op == "<=" || op == ">=") return 7;
    if (op == "<<" || op == ">>") return 8;
    if (op == "+" || op == "-") return 9;
    if (op == "*" || op == "/" || op == "%") return 10;
    return 0;
  }

  std::int64_t binary(int minimum) {
    std::int64_t left = unary();
    while (true) {
      const std::string_view op = peek();
      const int level = precedence(op);
      if (level == 0 || level <= minimum) return left;
      ++at_;
      left = apply(op, left, binary(level));
    }
  }

  // In unsigned arithmetic, where nothing overflows; C gives such conditions no meaning anyway.
  std::int64_t apply(std::string_view op, std::int64_t a, std::int64_t b) {
    const auto ua = static_cast<std::uint64_t>(a);
    const auto ub = static_cast<std::uint64_t>(b);
    if (op == "||") return static_cast<std::int64_t>(a != 0 || b != 0);
    if (op == "&&") return static_cast<std::int64_t>(a != 0 && b != 0);
    if (op == "|") return a | b;
    if (op == "^") return a ^ b;
    if (op == "&") return a & b;
    if (op == "==") return static_cast<std::int64_t>(a == b);
    if (op == "!=") return static_cast<std::int64_t>(a != b);
    if (op == "<") return static_cast<std::int64_t>(a < b);
    if (op == ">") return static_cast<std::int64_t>(a > b);
    if (op == "<=") return static_cast<std::int64_t>(a <= b);
    if (op == ">=") return static_cast<std::int64_t>(a >= b);
    if (op == "<<") return static_cast<std::int64_t>(ub < 64 ? ua << ub : 0);
    if (op == ">>") return ub < 64 ? a >> ub : 0;
    if (op == "+") return static_cast<std::int64_t>(ua + ub);
    if (op == "-") return static_cast<std::int64_t>(ua - ub);
    if (op == "*") return static_cast<std::int64_t>(ua * ub);
    // A division that is not evaluated (0 && 1/0) must not fail, so it has a value; −2^63/−1 must not trap.
    if (b == 0 || (b == -1 && a == std::numeric_limits<std::int64_t>::min())) return 0;
    return op == "/" ? a / b : a % b;
  }

  std::int64_t unary() {
    if (++depth_ > kMaxDepth) fail_at(sources_, place_, "the condition is nested too deeply");
    const std::int64_t value = unary_inner();
    --depth_;
    return value;
  }

  std::int64_t unary_inner() {
    if (accept("!")) return static_cast<std::int64_t>(unary() == 0);
    if (accept("~")) return ~unary();
    if (accept("-")) return static_cast<std::int64_t>(std::uint64_t{0} - static_cast<std::uint64_t>(unary()));
    if (accept("+")) return unary();
    if (accept("(")) {
      const std::int64_t value = ternary();
      if (!accept(")")) fail_at(sources_, place_, "the condition lacks )");
      return value;
    }
    if (at_ >= tokens_.size()) fail_at(sources_, place_, "the condition is not complete");
    const Token& token = tokens_[at_++];
    if (token.kind == TokenKind::kIdentifier) return static_cast<std::int64_t>(token.text == "true");
    if (token.kind == TokenKind::kNumber) return number(token);
    fail_at(sources_, place_, "unexpected {} in the condition", printable(token.text));
  }

  std::int64_t number(const Token& token) {
    std::string digits;
    for (const char c : token.text) {
      if (c != '\'') digits += c;
    }
    int base = 10;
    std::size_t begin = 0;
    if (digits.size() > 1 && digits[0] == '0') {
      const char mark = digits[1];
      base = mark == 'x' || mark == 'X' ? 16 : mark == 'b' || mark == 'B' ? 2 : 8;
      begin = base == 8 ? 1 : 2;
    }
    if (base == 8 && digits.find_first_of("uUlL") == 1) return 0;  // 0u, 0L
    const std::size_t end = digits.find_last_not_of("uUlL") + 1;
    std::uint64_t value = 0;
    const auto [stop, error] = std::from_chars(digits.data() + begin, digits.data() + end, value, base);
    if (error != std::errc{} || stop != digits.data() + end) {
      fail_at(sources_, place_, "{} is no number that a condition can hold", printable(token.text));
    }
    return static_cast<std::int64_t>(value);
  }

  const SourceSet& sources_;
  const Tokens& tokens_;
  Token place_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

std::int64_t evaluate_condition(const SourceSet& sources, const Tokens& expression, const Token& place) {
  return Condition(sources, expression, place).run();
}

}  // namespace lattice::msl
