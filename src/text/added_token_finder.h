#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lattice {

/// Looks for a set of strings in a text: the leftmost first, of those that begin at one place the longest.
class AddedTokenFinder {
 public:
  /// `text` is not empty. To be called before find().
  void add(std::string text, std::int32_t id);
  /// To be called when all have been added.
  void finish();

  struct Match {
    std::size_t begin;
    std::size_t length;
    std::int32_t id;  ///< −1: there is none, and begin is the text's length
  };
  /// The first match at `from` or later.
  [[nodiscard]] Match find(std::string_view text, std::size_t from) const;
  [[nodiscard]] bool empty() const noexcept { return tokens_.empty(); }

 private:
  struct Token {
    std::string text;
    std::int32_t id;
  };
  [[nodiscard]] const Token* longest_at(std::string_view text) const;

  std::vector<Token> tokens_;  // sorted by text
  std::array<bool, 256> begins_{};
};

}  // namespace lattice
