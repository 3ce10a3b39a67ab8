#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lattice::cli {

/// Rows of text under a heading, in columns that are as wide as what they hold.
class Table {
 public:
  enum class Align : std::uint8_t { kLeft, kRight };
  struct Column {
    std::string heading;  ///< with the unit, where there is one
    Align align = Align::kLeft;
  };

  /// A table whose headings are all empty is printed without the line of headings.
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// As many cells as there are columns.
  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  /// To standard output.
  void print() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace lattice::cli
