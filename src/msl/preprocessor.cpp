#include "msl/preprocessor.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>

#include "msl/lexer.h"
#include "msl/macro.h"
#include "msl/pp_condition.h"
#include "support/printable.h"

namespace lattice::msl {
namespace {

constexpr int kMaxIncludeDepth = 64;
// With -I and cyclic guards gone wrong a file could be read over and over; no shader includes this many.
constexpr std::size_t kMaxTokens = std::size_t{16} << 20;

// What Apple's compiler and headers define and kernels ask for. 3.1 is the first version with bfloat.
constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kPredefined = {
    {{"METAL_FUNC", "inline __attribute__((__always_inline__))"},
     {"__METAL_VERSION__", "310"},
     {"__METAL__", "1"},
     {"__HAVE_BFLOAT__", "1"},
     {"__LATTICE_MSL__", "1"}}};

// Metal's own headers.
bool is_system_header(std::string_view name) {
  return name.starts_with("metal_") || name.starts_with("metal/") || name.starts_with("simd/") ||
         name == "TargetConditionals.h";
}

class Preprocessor {
 public:
  Preprocessor(SourceSet& sources, const PreprocessorOptions& options)
      : sources_(sources), options_(options), macros_(sources) {
    for (const auto& [name, value] : kPredefined) define(std::string(name), value);
    for (const auto& [name, value] : options.defines) define(name, value);
  }

  Tokens run(std::uint16_t file) {
    process(file);
    return std::move(out_);
  }

 private:
  struct Conditional {
    Token place;
    bool taken;   // a branch has been taken, or none may be
    bool active;  // the present branch
    bool seen_else = false;
  };

  void define(const std::string& name, std::string_view value) {
    const std::uint16_t file = sources_.add("<definition of " + name + ">", name + ' ' + std::string(value));
    const Tokens line = tokenize(sources_, file);
    if (line.empty()) fail_usage("a definition needs a name");
    macros_.define(line);
  }

  [[nodiscard]] bool active() const { return conditionals_.empty() || conditionals_.back().active; }

  void process(std::uint16_t file) {
    if (++depth_ > kMaxIncludeDepth)
      fail("{}: files are included {} deep", sources_.file(file).name, depth_ - 1);
    const Tokens tokens = tokenize(sources_, file);
    std::vector<Conditional> outer;
    outer.swap(conditionals_);
    Tokens pending;
    for (std::size_t i = 0; i < tokens.size();) {
      if (!tokens[i].first_on_line || !tokens[i].is("#")) {
        if (active()) pending.push_back(tokens[i]);
        ++i;
        continue;
      }
      std::size_t end = i + 1;
      while (end < tokens.size() && !tokens[end].first_on_line) ++end;
      flush(pending);
      directive(file, tokens[i],
                Tokens(tokens.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                       tokens.begin() + static_cast<std::ptrdiff_t>(end)));
      i = end;
    }
    flush(pending);
    if (!conditionals_.empty())
      fail_at(sources_, conditionals_.back().place, "this conditional has no #endif");
    conditionals_.swap(outer);
    --depth_;
  }

  void flush(Tokens& pending) {
    if (pending.empty()) return;
    for (Token& token : pending) {
      if (token.is("__LINE__")) {
        token.kind = TokenKind::kNumber;
        token.text = sources_.keep(std::to_string(token.line));
      }
    }
    const Tokens expanded = drop_pragma_operators(macros_.expand(pending));
    if (out_.size() + expanded.size() > kMaxTokens) fail_at(sources_, pending.front(), "too many tokens");
    out_.insert(out_.end(), expanded.begin(), expanded.end());
    pending.clear();
  }

  /// Takes `_Pragma("…")` out, but for loop unrolling.
  Tokens drop_pragma_operators(const Tokens& tokens) {
    Tokens out;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (!tokens[i].is("_Pragma")) {
        out.push_back(tokens[i]);
        continue;
      }
      if (i + 3 >= tokens.size() || !tokens[i + 1].is("(") || tokens[i + 2].kind != TokenKind::kString ||
          !tokens[i + 3].is(")")) {
        fail_at(sources_, tokens[i], "_Pragma takes one string");
      }
      const std::string_view quoted = tokens[i + 2].text;
      const Tokens pragma = tokenize_pasted(sources_, quoted.substr(1, quoted.size() - 2), tokens[i]);
      if (const auto unroll = unroll_token(pragma, tokens[i])) out.push_back(*unroll);
      i += 3;
    }
    return out;
  }

  /// `unroll`, `unroll(4)`, `unroll 4`, `clang loop unroll(full)`.
  static std::optional<Token> unroll_token(const Tokens& pragma, const Token& place) {
    const auto found =
        std::find_if(pragma.begin(), pragma.end(), [](const Token& t) { return t.is("unroll"); });
    if (found == pragma.end()) return std::nullopt;
    Token out = place;
    out.kind = TokenKind::kUnroll;
    out.text = {};
    for (auto it = found + 1; it != pragma.end(); ++it) {
      if (it->is("disable")) return std::nullopt;
      if (it->kind == TokenKind::kNumber) out.text = it->text;
    }
    return out;
  }

  void directive(std::uint16_t file, const Token& hash, Tokens line) {
    if (line.empty()) return;
    const std::string_view name = line.front().text;
    const Token place = line.front();
    line.erase(line.begin());
    if (conditional_directive(name, place, line, file) || !active()) return;
    if (name == "define") {
      if (line.empty()) fail_at(sources_, place, "#define needs a name");
      macros_.define(line);
    } else if (name == "undef") {
      if (line.empty()) fail_at(sources_, place, "#undef needs a name");
      macros_.undefine(line.front().text);
    } else if (name == "include" || name == "import") {
      include(file, place, line, name == "import");
    } else if (name == "pragma") {
      if (!line.empty() && line.front().is("once")) once_.insert(sources_.file(file).name);
      if (auto unroll = unroll_token(line, hash)) out_.push_back(*unroll);
    } else if (name == "error") {
      std::string message;
      for (const Token& token : line) {
        if (!message.empty()) message += ' ';
        message += token.text;
      }
      fail_at(sources_, place, "#error {}", printable(message, 200));
    } else if (name != "warning" && name != "line") {
      fail_at(sources_, place, "unknown directive #{}", name);
    }
  }

  bool conditional_directive(std::string_view name, const Token& place, const Tokens& line,
                             std::uint16_t file) {
    if (name == "if" || name == "ifdef" || name == "ifndef") {
      const bool live = active();
      const bool holds = live && (name == "if" ? condition(place, line, file)
                                               : is_defined(place, line) == (name == "ifdef"));
      conditionals_.push_back({place, !live || holds, holds});
      return true;
    }
    if (name != "elif" && name != "else" && name != "endif") return false;
    if (conditionals_.empty()) fail_at(sources_, place, "#{} without #if", name);
    Conditional& current = conditionals_.back();
    if (name == "endif") {
      conditionals_.pop_back();
      return true;
    }
    if (current.seen_else) fail_at(sources_, place, "#{} after #else", name);
    current.seen_else = name == "else";
    current.active = !current.taken && (current.seen_else || condition(place, line, file));
    current.taken = current.taken || current.active;
    return true;
  }

  bool is_defined(const Token& place, const Tokens& line) {
    if (line.empty() || !line.front().is_identifier())
      fail_at(sources_, place, "#{} needs a name", place.text);
    return macros_.defined(line.front().text);
  }

  bool condition(const Token& place, const Tokens& line, std::uint16_t file) {
    Tokens resolved;
    for (std::size_t i = 0; i < line.size(); ++i) {
      if (line[i].is("defined")) {
        const bool parenthesised = i + 1 < line.size() && line[i + 1].is("(");
        const std::size_t at = i + (parenthesised ? 2 : 1);
        if (at >= line.size() || !line[at].is_identifier() ||
            (parenthesised && (at + 1 >= line.size() || !line[at + 1].is(")")))) {
          fail_at(sources_, place, "defined needs a name");
        }
        resolved.push_back(number(line[i], macros_.defined(line[at].text)));
        i = at + (parenthesised ? 1 : 0);
      } else if (line[i].is_identifier() && line[i].text.starts_with("__has_")) {
        std::size_t end = i;
        while (end < line.size() && !line[end].is(")")) ++end;
        if (end == line.size()) fail_at(sources_, place, "{} lacks its argument", line[i].text);
        const Tokens argument(line.begin() + static_cast<std::ptrdiff_t>(i) + 2,
                              line.begin() + static_cast<std::ptrdiff_t>(end));
        // Of Clang's other questions (attributes, features, builtins) none is about MSL itself.
        resolved.push_back(number(line[i], line[i].text == "__has_include" && can_include(file, argument)));
        i = end;
      } else {
        resolved.push_back(line[i]);
      }
    }
    return evaluate_condition(sources_, macros_.expand(resolved), place) != 0;
  }

  static Token number(const Token& place, bool value) {
    Token out = place;
    out.kind = TokenKind::kNumber;
    out.text = value ? "1" : "0";
    return out;
  }

  /// The name in `"name"` or `<name>`, and whether it stood in quotes.
  static std::pair<std::string, bool> header_name(const Tokens& line) {
    if (line.empty()) return {};
    if (line.front().kind == TokenKind::kString) {
      return {std::string(line.front().text.substr(1, line.front().text.size() - 2)), true};
    }
    std::string name;
    for (std::size_t i = 1; line.front().is("<") && i < line.size() && !line[i].is(">"); ++i)
      name += line[i].text;
    return {name, false};
  }

  std::optional<std::filesystem::path> find(std::uint16_t file, const std::string& name, bool quoted) const {
    std::vector<std::filesystem::path> directories = options_.include_directories;
    if (quoted)
      directories.insert(directories.begin(), std::filesystem::path(sources_.file(file).name).parent_path());
    for (const std::filesystem::path& directory : directories) {
      std::error_code error;
      const std::filesystem::path path = (directory / name).lexically_normal();
      if (std::filesystem::is_regular_file(path, error)) return path;
    }
    return std::nullopt;
  }

  bool can_include(std::uint16_t file, const Tokens& argument) const {
    const auto [name, quoted] = header_name(argument);
    return is_system_header(name) || find(file, name, quoted).has_value();
  }

  void include(std::uint16_t file, const Token& place, Tokens line, bool import) {
    if (!line.empty() && line.front().is_identifier()) line = macros_.expand(line);
    const auto [name, quoted] = header_name(line);
    if (name.empty()) fail_at(sources_, place, "#include needs \"name\" or <name>");
    const auto path = find(file, name, quoted);
    if (!path) {
      if (is_system_header(name)) return;
      fail_at(sources_, place, "cannot find the file {} that is included here", printable(name));
    }
    if (once_.count(path->string()) != 0) return;
    if (import) once_.insert(path->string());
    process(sources_.add_file(*path));
  }

  SourceSet& sources_;
  const PreprocessorOptions& options_;
  MacroTable macros_;
  std::vector<Conditional> conditionals_;  // of the file being read
  std::set<std::string> once_;
  Tokens out_;
  int depth_ = 0;
};

}  // namespace

Tokens preprocess(SourceSet& sources, std::uint16_t file, const PreprocessorOptions& options) {
  return Preprocessor(sources, options).run(file);
}

}  // namespace lattice::msl
