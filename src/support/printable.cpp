#include "support/printable.h"

#include <iterator>

#include <fmt/format.h>

#include "support/utf8.h"

namespace lattice {
namespace {

void append_escaped(std::string& out, std::string_view bytes) {
  for (const char c : bytes) {
    if (c == '\n') {
      out += "\\n";
    } else {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
}

}  // namespace

bool is_control(std::string_view sequence) noexcept {
  const auto first = static_cast<unsigned char>(sequence[0]);
  if (sequence.size() == 1) return first < 0x20 || first == 0x7f;
  return first == 0xc2 && static_cast<unsigned char>(sequence[1]) < 0xa0;
}

std::string printable(std::string_view text, std::size_t max_bytes) {
  std::string out = "\"";
  std::size_t used = 0;
  while (used < text.size()) {
    const std::string_view rest = text.substr(used);
    const std::size_t length = utf8_sequence_length(rest);
    const std::string_view sequence = rest.substr(0, length == 0 ? 1 : length);
    if (used + sequence.size() > max_bytes) {
      out += "…";
      break;
    }
    if (length == 0 || is_control(sequence)) {
      append_escaped(out, sequence);
    } else {
      if (sequence == "\"" || sequence == "\\") out += '\\';
      out += sequence;
    }
    used += sequence.size();
  }
  return out + '"';
}

}  // namespace lattice
