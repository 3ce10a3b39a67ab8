#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "msl/source_set.h"
#include "msl/token.h"

namespace lattice::msl {

struct Macro {
  bool function_like = false;
  bool variadic = false;                     ///< its last parameter takes all that is left
  std::vector<std::string_view> parameters;  ///< "__VA_ARGS__" last where `...` has no name
  Tokens body;
};

/// The macros that are defined, and their expansion: Prosser's algorithm, in which every token carries the
/// set of the macros that it came out of and that may not expand it again.
class MacroTable {
 public:
  explicit MacroTable(SourceSet& sources) : sources_(sources) {}

  [[nodiscard]] bool defined(std::string_view name) const { return macros_.count(name) != 0; }
  /// The tokens behind `#define`.
  void define(const Tokens& line);
  void define(std::string_view name, Macro macro) { macros_[name] = std::move(macro); }
  void undefine(std::string_view name) { macros_.erase(name); }

  /// `input` with every macro expanded. Throws Error for arguments that do not match, and where an expansion
  /// grows or nests beyond all reason.
  [[nodiscard]] Tokens expand(const Tokens& input);

 private:
  struct Hidden {
    std::string_view name;
    const Hidden* rest;
  };
  struct Item {
    Token token;
    const Hidden* hidden = nullptr;
  };
  using Items = std::vector<Item>;

  [[nodiscard]] Items expand_items(Items input);
  /// Takes the arguments of a call off the end of `stack` (which is the input, reversed); nothing where no
  /// parenthesis follows.
  [[nodiscard]] std::optional<std::vector<Items>> take_arguments(Items& stack, const Macro& macro,
                                                                 const Item& name);
  [[nodiscard]] Items substitute(const Macro& macro, const std::vector<Items>& arguments, const Item& name);
  void append_operand(Items& out, const Macro& macro, const std::vector<Items>& arguments, std::size_t at,
                      bool expanded, const Item& name);
  [[nodiscard]] Token stringize(const Items& argument, const Token& place);
  void paste(Items& left, const Items& right, const Token& place);
  const Hidden* hide(std::string_view name, const Hidden* rest);
  void count(std::size_t tokens, const Token& place);

  SourceSet& sources_;
  std::map<std::string_view, Macro> macros_;
  std::deque<Hidden> hidden_;
  std::size_t produced_ = 0;
  int depth_ = 0;
};

}  // namespace lattice::msl
