#include "msl/body_writer.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "msl/address_space_twins.h"

namespace lattice::msl {
namespace {

// A gap of more lines than this is bridged by #line.
constexpr std::uint32_t kMaxBlankLines = 8;

bool is_erased(const Token& token) {
  return token.is("kernel") || token.is("device") || token.is("thread") || token.is("threadgroup");
}

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/// The places that a swizzle's letters name, or nothing where `name` is none: xyzw or rgba, not mixed.
std::string swizzle_places(std::string_view name, std::size_t& highest) {
  if (name.size() < 2 || name.size() > 4) return {};
  for (const std::string_view alphabet : {"xyzw", "rgba"}) {
    std::string places;
    highest = 0;
    for (const char c : name) {
      const std::size_t place = alphabet.find(c);
      if (place == std::string_view::npos) break;
      highest = std::max(highest, place);
      places += fmt::format(", {}", place);
    }
    if (places.size() == 3 * name.size()) return places;
  }
  return {};
}

}  // namespace

BodyWriter::BodyWriter(const Module& module) : module_(module), walk_(*module.sources, module.tokens) {
  for (const TokenRange& attribute : module.attributes) replace(attribute, "");
  // An instantiation may hold attributes of its own.
  for (const TokenRange& instantiation : module.instantiations) {
    replacements_.erase(replacements_.lower_bound(instantiation.begin),
                        replacements_.lower_bound(instantiation.end));
    replace(instantiation, "");
  }
  for (const TokenRange& range : address_space_twins(walk_, module.tokens)) replace(range, "");
}

std::string BodyWriter::number(std::string_view text) const {
  const bool hexadecimal = text.starts_with("0x") || text.starts_with("0X");
  const bool floating = hexadecimal ? text.find_first_of("pP") != std::string_view::npos
                                    : text.find_first_of(".eE") != std::string_view::npos;
  if (!floating) return std::string(text);
  if (text.ends_with("bf") || text.ends_with("BF")) {
    return fmt::format("bfloat({}f)", text.substr(0, text.size() - 2));
  }
  const char last = text.back();
  if (last == 'h' || last == 'H') return fmt::format("half({}f)", text.substr(0, text.size() - 1));
  if (last == 'f' || last == 'F') return std::string(text);
  return std::string(text) + 'f';
}

// A range designator is Clang's and not GCC's. Written as a loop, where it covers the whole array; a part of
// one is left as it is, for the compiler to take or to refuse.
std::string BodyWriter::range_initializer(std::size_t& at) const {
  if (!walk_.is(at, "=") || !walk_.is(at + 1, "{") || !walk_.is(at + 2, "[") || at < 4 ||
      !walk_.is(at - 1, "]"))
    return {};
  const std::size_t past = walk_.past_group(at + 2);
  const std::size_t end = walk_.past_group(at + 1);
  std::size_t open = at - 1;
  while (open > 1 && !walk_.is(open, "[")) --open;
  const TokenRange extent{open + 1, at - 1};
  const std::string last = write({at + 5, past - 1});
  const bool whole = walk_.is(at + 3, "0") && walk_.is(at + 4, "...") && last == write(extent) + " - 1";
  if (!whole || !walk_.is(past, "=") || !walk_.is(end, ";") || !walk_.is_identifier(open - 1)) return {};
  const std::string value = write({past + 1, end - 1});
  at = end + 1;
  return fmt::format("; for (auto& lattice_element : {}) lattice_element = {};",
                     module_.tokens[open - 1].text, value);
}

/// Whether the type that `constant` at `at` qualifies is const already: C++ takes the word only once.
bool BodyWriter::const_nearby(std::size_t at) const {
  const Tokens& tokens = module_.tokens;
  for (std::size_t i = at; i > 0; --i) {
    const Token& before = tokens[i - 1];
    if (before.is("const")) return true;
    if (!before.is("static") && !before.is("constexpr") && !before.is("volatile") && !is_erased(before))
      break;
  }
  const std::size_t end = walk_.past_type(at);
  for (std::size_t i = at + 1; i < end; ++i) {
    if (walk_.is(i, "<")) {
      const std::size_t past = walk_.past_angles(i);
      if (past > i) i = past - 1;
    } else if (walk_.is(i, "const")) {
      return true;
    }
  }
  return false;
}

std::string BodyWriter::translate(std::size_t& at) const {
  const auto replacement = replacements_.find(at);
  if (replacement != replacements_.end()) {
    at = replacement->second.end;
    return replacement->second.text;
  }
  const std::size_t here = at++;
  const Token& token = module_.tokens[here];
  if (token.kind == TokenKind::kNumber) return number(token.text);
  if (token.kind == TokenKind::kUnroll) {
    return keep_unrolling_ ? fmt::format("\n#pragma unroll {}\n", token.text) : std::string();
  }
  if (token.is("=")) {
    std::size_t past = here;
    if (std::string loop = range_initializer(past); !loop.empty()) {
      at = past;
      return loop;
    }
  }
  if (is_erased(token)) return {};
  if (token.is("constant")) return const_nearby(here) ? std::string() : "const";
  // ::metal is no global namespace here.
  const bool qualified = here > 0 && (module_.tokens[here - 1].is_identifier() || walk_.is(here - 1, ">"));
  if (token.is("::") && !qualified && walk_.is(here + 1, "metal")) return {};
  if (token.is("is_function_constant_defined") && walk_.is(here + 1, "(") && walk_.is(here + 3, ")")) {
    at = here + 4;
    return defined_flag(module_.tokens[here + 2].text);
  }
  return std::string(token.text);
}

std::string BodyWriter::write(TokenRange range) const {
  std::string out;
  for (std::size_t at = range.begin; at < range.end;) {
    const std::string text = translate(at);
    if (text.empty()) continue;
    if (!out.empty()) out += ' ';
    out += text;
  }
  return out;
}

std::string BodyWriter::write() const {
  std::string out;
  std::uint32_t line = 0;
  std::uint32_t file = ~0u;
  for (std::size_t at = 0; at < module_.tokens.size();) {
    const Token& token = module_.tokens[at];
    const std::string text = translate(at);
    if (text.empty()) continue;
    if (token.file == file && token.line >= line && token.line - line <= kMaxBlankLines) {
      out.append(token.line - line, '\n');
    } else {
      out += fmt::format("\n#line {} \"{}\"\n", token.line, module_.sources->file(token.file).name);
    }
    const bool clings = !out.empty() && is_letter_or_digit(out.back()) && is_letter_or_digit(text.front());
    // Two operators that stood apart (`a - -b`, `vec<vec<T> >`) must not grow together.
    if (clings ||
        (!out.empty() && out.back() != '\n' && (token.space_before || !is_letter_or_digit(text.front())))) {
      out += ' ';
    }
    out += text;
    file = token.file;
    line = token.line + static_cast<std::uint32_t>(std::count(text.begin(), text.end(), '\n'));
  }
  return out + '\n';
}

std::string swizzle_macros(const Module& module) {
  std::set<std::string_view> names;
  for (std::size_t i = 1; i < module.tokens.size(); ++i) {
    const bool member = module.tokens[i - 1].is(".") || module.tokens[i - 1].is("->");
    if (member && module.tokens[i].is_identifier()) names.insert(module.tokens[i].text);
  }
  std::string out;
  for (std::size_t size = 2; size <= 4; ++size) {
    out += fmt::format("#define LATTICE_MSL_SWIZZLES_{}", size);
    for (const std::string_view name : names) {
      std::size_t highest = 0;
      const std::string places = swizzle_places(name, highest);
      if (!places.empty() && highest < size) out += fmt::format(" S({}{})", name, places);
    }
    out += '\n';
  }
  return out;
}

std::string bare_type(const Module& module, const BodyWriter& writer, TokenRange type) {
  std::string out;
  for (std::size_t at = type.begin; at < type.end; ++at) {
    const Token& token = module.tokens[at];
    if (token.is("constant") || token.is("const") || token.is("constexpr") || token.is("static")) continue;
    if (!out.empty()) out += ' ';
    out += writer.write({at, at + 1});
  }
  return out;
}

std::string defined_flag(std::string_view constant) {
  return fmt::format("lattice_defined_{}", constant);
}

}  // namespace lattice::msl
