#include "msl/macro.h"

#include <algorithm>
#include <utility>

#include "msl/lexer.h"
#include "support/printable.h"

namespace lattice::msl {
namespace {

// The largest public shader file expands to 300 thousand tokens.
constexpr std::size_t kMaxTokens = std::size_t{8} << 20;
constexpr int kMaxDepth = 200;

std::optional<std::size_t> parameter_index(const Macro& macro, const Token& token) {
  if (!macro.function_like || !token.is_identifier()) return std::nullopt;
  const auto found = std::find(macro.parameters.begin(), macro.parameters.end(), token.text);
  if (found == macro.parameters.end()) return std::nullopt;
  return static_cast<std::size_t>(found - macro.parameters.begin());
}

}  // namespace

void MacroTable::define(const Tokens& line) {
  const Token& name = line.front();
  if (!name.is_identifier() || name.text == "defined") {
    fail_at(sources_, name, "{} cannot be the name of a macro", printable(name.text));
  }
  Macro macro;
  std::size_t at = 1;
  if (at < line.size() && line[at].is("(") && !line[at].space_before) {
    macro.function_like = true;
    ++at;
    while (at < line.size() && !line[at].is(")")) {
      if (macro.variadic) fail_at(sources_, name, "nothing may follow ... in macro {}", name.text);
      if (line[at].is("...")) {
        macro.variadic = true;
        macro.parameters.emplace_back("__VA_ARGS__");
      } else if (line[at].is_identifier()) {
        macro.parameters.push_back(line[at].text);
        if (at + 1 < line.size() && line[at + 1].is("...")) {
          macro.variadic = true;
          ++at;
        }
      } else {
        fail_at(sources_, name, "macro {} has a parameter list that is not well formed", name.text);
      }
      ++at;
      if (at < line.size() && line[at].is(",")) ++at;
    }
    if (at == line.size()) fail_at(sources_, name, "the parameter list of macro {} lacks )", name.text);
    ++at;
  }
  macro.body.assign(line.begin() + static_cast<std::ptrdiff_t>(at), line.end());
  if (!macro.body.empty() && (macro.body.front().is("##") || macro.body.back().is("##"))) {
    fail_at(sources_, name, "## stands at an end of macro {}", name.text);
  }
  macros_[name.text] = std::move(macro);
}

const MacroTable::Hidden* MacroTable::hide(std::string_view name, const Hidden* rest) {
  return &hidden_.emplace_back(Hidden{name, rest});
}

void MacroTable::count(std::size_t tokens, const Token& place) {
  produced_ += tokens;
  if (produced_ > kMaxTokens)
    fail_at(sources_, place, "the macros expand to more than {} tokens", kMaxTokens);
}

Tokens MacroTable::expand(const Tokens& input) {
  Items items;
  items.reserve(input.size());
  for (const Token& token : input) items.push_back({token, nullptr});
  Tokens out;
  for (const Item& item : expand_items(std::move(items))) out.push_back(item.token);
  return out;
}

MacroTable::Items MacroTable::expand_items(Items input) {
  Items out;
  if (input.empty()) return out;
  if (++depth_ > kMaxDepth) fail_at(sources_, input.front().token, "macro arguments are nested too deeply");
  Items stack(std::make_move_iterator(input.rbegin()), std::make_move_iterator(input.rend()));
  while (!stack.empty()) {
    const Item item = stack.back();
    stack.pop_back();
    const auto found = item.token.is_identifier() ? macros_.find(item.token.text) : macros_.end();
    bool expands = found != macros_.end();
    for (const Hidden* h = item.hidden; expands && h != nullptr; h = h->rest)
      expands = h->name != item.token.text;
    std::optional<std::vector<Items>> arguments;
    if (expands && found->second.function_like) {
      arguments = take_arguments(stack, found->second, item);
      expands = arguments.has_value();
    }
    if (!expands) {
      out.push_back(item);
      continue;
    }
    static const std::vector<Items> kNone;
    Items result = substitute(found->second, arguments ? *arguments : kNone, item);
    count(result.size() + 1, item.token);
    stack.insert(stack.end(), std::make_move_iterator(result.rbegin()),
                 std::make_move_iterator(result.rend()));
  }
  --depth_;
  return out;
}

std::optional<std::vector<MacroTable::Items>> MacroTable::take_arguments(Items& stack, const Macro& macro,
                                                                         const Item& name) {
  if (stack.empty() || !stack.back().token.is("(")) return std::nullopt;
  stack.pop_back();
  std::vector<Items> arguments(1);
  int depth = 0;
  while (true) {
    if (stack.empty()) fail_at(sources_, name.token, "the call of macro {} lacks )", name.token.text);
    Item item = stack.back();
    stack.pop_back();
    const Token& token = item.token;
    if (depth == 0 && token.is(")")) break;
    if (token.is("(") || token.is("[") || token.is("{")) ++depth;
    if (token.is(")") || token.is("]") || token.is("}")) --depth;
    const bool in_variadic = macro.variadic && arguments.size() == macro.parameters.size();
    if (depth <= 0 && token.is(",") && !in_variadic) {
      arguments.emplace_back();
    } else {
      arguments.back().push_back(item);
    }
  }
  if (macro.parameters.empty() && arguments.size() == 1 && arguments[0].empty()) arguments.clear();
  if (macro.variadic && arguments.size() + 1 == macro.parameters.size()) arguments.emplace_back();
  if (arguments.size() != macro.parameters.size()) {
    fail_at(sources_, name.token, "macro {} takes {} arguments and is given {}", name.token.text,
            macro.parameters.size(), arguments.size());
  }
  return arguments;
}

void MacroTable::append_operand(Items& out, const Macro& macro, const std::vector<Items>& arguments,
                                std::size_t at, bool expanded, const Item& name) {
  const Token& token = macro.body[at];
  const auto parameter = parameter_index(macro, token);
  if (!parameter) {
    out.push_back({token, nullptr});
    return;
  }
  Items value = expanded ? expand_items(arguments[*parameter]) : arguments[*parameter];
  count(value.size(), name.token);
  if (!value.empty()) value.front().token.space_before = token.space_before;
  out.insert(out.end(), value.begin(), value.end());
}

MacroTable::Items MacroTable::substitute(const Macro& macro, const std::vector<Items>& arguments,
                                         const Item& name) {
  Items out;
  const Tokens& body = macro.body;
  for (std::size_t i = 0; i < body.size(); ++i) {
    const bool pasted_next = i + 1 < body.size() && body[i + 1].is("##");
    if (macro.function_like && body[i].is("#") && i + 1 < body.size() &&
        parameter_index(macro, body[i + 1])) {
      out.push_back({stringize(arguments[*parameter_index(macro, body[i + 1])], name.token), nullptr});
      ++i;
    } else if (body[i].is("##") && i + 1 < body.size()) {
      const auto parameter = parameter_index(macro, body[i + 1]);
      // GNU: `, ## rest` drops the comma where there is no rest, and pastes nothing where there is.
      const bool rest = parameter && macro.variadic && *parameter + 1 == macro.parameters.size();
      if (rest && !out.empty() && out.back().token.is(",")) {
        if (arguments[*parameter].empty()) out.pop_back();
        append_operand(out, macro, arguments, i + 1, true, name);
      } else {
        Items right;
        append_operand(right, macro, arguments, i + 1, false, name);
        paste(out, right, name.token);
      }
      ++i;
    } else {
      Items operand;
      append_operand(operand, macro, arguments, i, !pasted_next, name);
      // An empty left side of ## must not let the right side be pasted onto what stands before it.
      if (operand.empty() && pasted_next) {
        Items right;
        append_operand(right, macro, arguments, i + 2, false, name);
        operand = std::move(right);
        i += 2;
      }
      out.insert(out.end(), operand.begin(), operand.end());
    }
  }
  const Hidden* own = hide(name.token.text, name.hidden);
  for (Item& item : out) {
    if (item.hidden == nullptr) {
      item.hidden = own;
    } else {  // of an argument, which brings its own set
      for (const Hidden* h = own; h != nullptr; h = h->rest) item.hidden = hide(h->name, item.hidden);
    }
    item.token.file = name.token.file;
    item.token.line = name.token.line;
    item.token.first_on_line = false;
  }
  if (!out.empty()) out.front().token.space_before = name.token.space_before;
  return out;
}

Token MacroTable::stringize(const Items& argument, const Token& place) {
  std::string text = "\"";
  for (std::size_t i = 0; i < argument.size(); ++i) {
    const Token& token = argument[i].token;
    if (i != 0 && (token.space_before || token.first_on_line)) text += ' ';
    const bool quoted = token.kind == TokenKind::kString || token.kind == TokenKind::kCharacter;
    for (const char c : token.text) {
      if (quoted && (c == '"' || c == '\\')) text += '\\';
      text += c;
    }
  }
  Token out = place;
  out.kind = TokenKind::kString;
  out.text = sources_.keep(text + '"');
  return out;
}

void MacroTable::paste(Items& left, const Items& right, const Token& place) {
  if (right.empty()) return;
  if (left.empty()) {
    left = right;
    return;
  }
  const std::string_view text =
      sources_.keep(std::string(left.back().token.text) + std::string(right.front().token.text));
  const Tokens pasted = tokenize_pasted(sources_, text, place);
  if (pasted.size() != 1) fail_at(sources_, place, "## makes {}, which is not one token", printable(text));
  const bool space = left.back().token.space_before;
  left.back().token = pasted.front();
  left.back().token.space_before = space;
  left.insert(left.end(), right.begin() + 1, right.end());
}

}  // namespace lattice::msl
