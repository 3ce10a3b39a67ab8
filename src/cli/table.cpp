#include "cli/table.h"

#include <algorithm>

#include "cli/output.h"
#include "cli/terminal.h"

namespace lattice::cli {
namespace {

constexpr std::size_t kGap = 2;  // spaces between two columns

}  // namespace

void Table::print() const {
  std::vector<std::string> headings;
  for (const Column& column : columns_) headings.push_back(column.heading);
  const bool has_headings = std::ranges::any_of(headings, [](const std::string& h) { return !h.empty(); });

  std::vector<std::size_t> widths;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    widths.push_back(display_width(headings[c]));
    for (const auto& row : rows_) widths[c] = std::max(widths[c], display_width(row[c]));
  }
  const auto line_of = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      const std::string padding(widths[c] - display_width(cells[c]), ' ');
      line += columns_[c].align == Align::kRight ? padding + cells[c] : cells[c] + padding;
      line.append(kGap, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    return line;
  };
  if (has_headings) print_text(bold(Stream::kOut, line_of(headings)) + "\n");
  for (const auto& row : rows_) print_text(line_of(row) + "\n");
}

}  // namespace lattice::cli
