#pragma once

#include <map>
#include <string>
#include <string_view>

#include "msl/module.h"
#include "msl/token_walk.h"

namespace lattice::msl {

/// Writes a module's tokens as C++: what every target does with them alike. Address spaces and attributes go,
/// `constant` becomes const, literals take C++'s spelling of MSL's types (1.0 is a float, 1.0h a half), and
/// what a target puts in the place of a range of tokens is written instead. Lines keep their numbers, by
/// #line.
class BodyWriter {
 public:
  explicit BodyWriter(const Module& module);

  /// Writes `text` for [range), and nothing of the range itself. Ranges must not overlap.
  void replace(TokenRange range, std::string text) {
    replacements_[range.begin] = {range.end, std::move(text)};
  }
  /// Writes `#pragma unroll` where the source has it.
  void keep_unrolling() { keep_unrolling_ = true; }

  /// The whole module.
  [[nodiscard]] std::string write() const;
  /// A range, on one line.
  [[nodiscard]] std::string write(TokenRange range) const;

 private:
  struct Replacement {
    std::size_t end;
    std::string text;
  };

  /// The text of one token and past which token it reaches.
  [[nodiscard]] std::string translate(std::size_t& at) const;
  /// What stands for `= { [0 ... N - 1] = value };` behind `T name[N]`; moves `at` past it. Empty where none
  /// is there.
  [[nodiscard]] std::string range_initializer(std::size_t& at) const;
  [[nodiscard]] bool const_nearby(std::size_t at) const;
  [[nodiscard]] std::string number(std::string_view text) const;

  const Module& module_;
  TokenWalk walk_;
  std::map<std::size_t, Replacement> replacements_;
  bool keep_unrolling_ = false;
};

/// The swizzles that the module names, as the macros LATTICE_MSL_SWIZZLES_2, _3 and _4 of stdlib/vec.h.
[[nodiscard]] std::string swizzle_macros(const Module& module);

/// The type of a constant without `constant`, `const`, `constexpr` and `static`.
[[nodiscard]] std::string bare_type(const Module& module, const BodyWriter& writer, TokenRange type);

/// The name of the flag beside a function constant.
[[nodiscard]] std::string defined_flag(std::string_view constant);

}  // namespace lattice::msl
