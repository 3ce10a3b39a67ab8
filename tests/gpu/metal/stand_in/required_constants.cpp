#include "gpu/metal/stand_in/required_constants.h"

#include <map>
#include <string>
#include <vector>

namespace lattice::gpu::stand_in {
namespace {

/// A declaration at namespace scope.
struct Declaration {
  std::string_view name;
  std::set<std::string_view> identifiers;
};

/// Behind an attribute, `[[…]]`, that begins at `i`; `i` itself where none does.
std::size_t past_attribute(const msl::Tokens& tokens, std::size_t i, std::size_t end) {
  if (i + 1 >= end || !tokens[i].is("[") || !tokens[i + 1].is("[")) return i;
  while (i + 1 < end && !(tokens[i].is("]") && tokens[i + 1].is("]"))) ++i;
  return i + 2;
}

/// Of a function the word before its parameters, of a type the word behind `struct`, of a variable the last
/// word before its extents or value.
std::string_view name_of(const msl::Tokens& tokens, std::size_t begin, std::size_t end) {
  int angle = 0;
  std::string_view last;
  for (std::size_t i = begin; i < end; ++i) {
    i = past_attribute(tokens, i, end);
    if (i >= end) break;
    const msl::Token& token = tokens[i];
    if (token.is("<")) ++angle;
    if (token.is(">")) --angle;
    if (angle > 0) continue;
    if (i > begin && (tokens[i - 1].is("struct") || tokens[i - 1].is("enum"))) return token.text;
    if (token.is("(") || token.is("=") || token.is("[") || token.is("{")) return last;
    if (token.is_identifier()) last = token.text;
  }
  return last;
}

std::vector<Declaration> declarations_of(const msl::Tokens& tokens) {
  std::vector<Declaration> out;
  std::size_t begin = 0;
  int depth = 0;  // of braces that are no namespace's
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (depth == 0 && begin == i && tokens[i].is("namespace")) {
      while (i < tokens.size() && !tokens[i].is("{") && !tokens[i].is(";")) ++i;
      begin = i + 1;
      continue;
    }
    if (depth == 0 && begin == i && tokens[i].is("}")) {  // of a namespace
      begin = i + 1;
      continue;
    }
    if (tokens[i].is("{")) ++depth;
    if (tokens[i].is("}")) --depth;
    if (depth != 0 || !(tokens[i].is("}") || tokens[i].is(";"))) continue;
    Declaration declaration{name_of(tokens, begin, i), {}};
    for (std::size_t j = begin; j < i; ++j) {
      if (tokens[j].is_identifier()) declaration.identifiers.insert(tokens[j].text);
    }
    out.push_back(std::move(declaration));
    begin = i + 1;
  }
  return out;
}

}  // namespace

std::set<std::uint32_t> required_constants(const msl::Module& module, std::string_view kernel) {
  const std::vector<Declaration> all = declarations_of(module.tokens);
  std::set<std::string_view> seen;
  std::vector<std::string_view> names;
  const auto visit = [&](std::string_view name) {
    if (seen.insert(name).second) names.push_back(name);
  };
  const msl::Kernel& wanted = module.kernel(kernel);
  const std::string& function = module.function_of(wanted).function;
  visit(std::string_view(function).substr(
      function.rfind(':') == std::string::npos ? 0 : function.rfind(':') + 1));
  for (std::size_t i = wanted.template_arguments.begin; i < wanted.template_arguments.end; ++i) {
    if (module.tokens[i].is_identifier()) visit(module.tokens[i].text);
  }
  for (std::size_t next = 0; next < names.size(); ++next) {
    for (const Declaration& declaration : all) {
      if (declaration.name != names[next]) continue;
      for (const std::string_view identifier : declaration.identifiers) visit(identifier);
    }
  }
  std::set<std::uint32_t> out;
  for (const msl::ConstantGlobal& constant : module.constants) {
    if (constant.function_constant && seen.contains(constant.name)) out.insert(*constant.function_constant);
  }
  return out;
}

}  // namespace lattice::gpu::stand_in
