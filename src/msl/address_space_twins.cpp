#include "msl/address_space_twins.h"

#include <map>
#include <set>
#include <string>

namespace lattice::msl {
namespace {

bool opens_group(const Token& token) {
  return token.is("(") || token.is("[") || token.is("{");
}

class TwinFinder {
 public:
  TwinFinder(const TokenWalk& walk, const Tokens& tokens) : walk_(walk), tokens_(tokens) {}

  std::vector<TokenRange> run() {
    scan({0, tokens_.size()}, "", "");
    return std::move(removed_);
  }

 private:
  /// What of a declaration was seen: as C++ has it, and as it is written.
  using Seen = std::map<std::string, std::set<std::string>>;

  static constexpr int kMostScopes = 256;  // nested; deeper ones are left as they are

  /// `class_name`: of the class whose body `scope` is, or empty.
  void scan(TokenRange scope, const std::string& path, std::string_view class_name) {
    if (depth_ > kMostScopes) return;
    ++depth_;
    Seen own;
    // A namespace may be opened again; a class's body stands once.
    Seen& seen = class_name.empty() ? namespaces_[path] : own;
    for (std::size_t at = scope.begin; at < scope.end;)
      at = std::max(declaration(at, scope.end, path, class_name, seen), at + 1);
    --depth_;
  }

  /// Past the declaration that begins at `at`.
  std::size_t declaration(std::size_t at, std::size_t end, const std::string& path,
                          std::string_view class_name, Seen& seen) {
    const std::size_t word = walk_.is(at, "inline") && walk_.is(at + 1, "namespace") ? at + 1 : at;
    std::size_t head = at;
    while (walk_.is(head, "template") && walk_.is(head + 1, "<")) {
      const std::size_t past = walk_.past_angles(head + 1);
      if (past == 0) return end;
      head = past;
    }
    bool has_parameters = false;
    bool is_constructor = false;
    for (; head < end; ++head) {
      const Token& token = tokens_[head];
      if (token.is("{") || token.is(";")) break;
      if (token.is("=") && !walk_.is(head - 1, "operator")) break;
      if (token.is(":") && has_parameters) break;            // of a constructor's members
      if (token.is(":") && head == at + 1) return head + 1;  // public:
      if (token.is("constant") && is_constructor) removed_.push_back({head, head + 1});
      if (token.is("(") || token.is("[")) {
        if (token.is("(") && !has_parameters)
          is_constructor = !class_name.empty() && walk_.is(head - 1, class_name);
        has_parameters = has_parameters || token.is("(");
        head = walk_.past_group(head) - 1;
      }
    }
    if (head >= end) return end;
    const std::size_t past = past_end(head, end);
    if (walk_.is(word, "namespace")) {
      if (walk_.is(head, "{")) scan({head + 1, past - 1}, path + text(word + 1, head, true) + "::", "");
      return past;
    }
    const std::string_view name = !has_parameters && walk_.is(head, "{") ? name_of_class(at, head) : "";
    if (has_parameters || !name.empty()) {
      const std::size_t last = is_constructor && walk_.is(head - 1, "constant") ? head - 1 : head;
      // What is only declared has no body that could stand for another's.
      std::set<std::string>& written = seen[text(at, last, false) + (walk_.is(head, ";") ? ";" : "")];
      const std::string as_written = text(at, head, true);
      if (!written.empty() && !written.contains(as_written)) {
        while (!removed_.empty() && removed_.back().begin >= at) removed_.pop_back();
        removed_.push_back({at, !name.empty() && walk_.is(past, ";") ? past + 1 : past});
      } else if (!name.empty()) {
        scan({head + 1, past - 1}, path, name);
      }
      written.insert(as_written);
    }
    return past;
  }

  /// From what ends a declaration's head to past its body or its semicolon.
  [[nodiscard]] std::size_t past_end(std::size_t head, std::size_t end) const {
    if (walk_.is(head, "{")) return walk_.past_group(head);
    bool members = walk_.is(head, ":");
    for (std::size_t at = head; at < end; ++at) {
      if (walk_.is(at, ";")) return at + 1;
      if (!opens_group(tokens_[at])) continue;
      // Of a constructor: `: a(x), b{y} {…}`. The body is the group that no name stands before.
      const bool is_body =
          members && walk_.is(at, "{") && !tokens_[at - 1].is_identifier() && !walk_.is(at - 1, ">");
      at = walk_.past_group(at) - 1;
      if (is_body) return at + 1;
    }
    return end;
  }

  /// Empty where none is declared.
  [[nodiscard]] std::string_view name_of_class(std::size_t at, std::size_t head) const {
    for (; at + 1 < head; ++at) {
      if (walk_.is(at, "struct") || walk_.is(at, "class") || walk_.is(at, "union")) {
        const bool is_parameter =
            at > 0 && (walk_.is(at - 1, "<") || walk_.is(at - 1, ","));  // of a template
        if (!is_parameter) return tokens_[at + 1].text;
      }
    }
    return {};
  }

  [[nodiscard]] std::string text(std::size_t at, std::size_t end, bool address_spaces) const {
    std::string out;
    for (; at < end; ++at) {
      if (!address_spaces && is_address_space(tokens_[at])) {
        // `constant T` is const T.
        if (!walk_.is(at, "constant") || walk_.is(at + 1, "const") || (at > 0 && walk_.is(at - 1, "const")))
          continue;
        out += "const ";
        continue;
      }
      out += std::string(tokens_[at].text) + ' ';
    }
    return out;
  }

  const TokenWalk& walk_;
  const Tokens& tokens_;
  std::map<std::string, Seen> namespaces_;
  std::vector<TokenRange> removed_;
  int depth_ = 0;
};

}  // namespace

std::vector<TokenRange> address_space_twins(const TokenWalk& walk, const Tokens& tokens) {
  return TwinFinder(walk, tokens).run();
}

}  // namespace lattice::msl
