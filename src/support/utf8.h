#pragma once

#include <cstddef>
#include <string_view>

namespace lattice {

/// The length in bytes (1 to 4) of the well-formed UTF-8 sequence that `text` begins with, or 0 where there
/// is none: the table of well-formed sequences in the Unicode Standard (section 3.9), so no overlong forms,
/// no surrogates and nothing above U+10FFFF.
[[nodiscard]] constexpr std::size_t utf8_sequence_length(std::string_view text) noexcept {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto continues = [&](std::size_t i) { return i < text.size() && (byte(i) & 0xc0u) == 0x80u; };
  if (text.empty()) return 0;
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4 || !continues(1)) return 0;
  if (lead < 0xe0) return 2;
  const unsigned second = byte(1);
  if (lead < 0xf0) {
    const bool overlong = lead == 0xe0 && second < 0xa0;
    const bool surrogate = lead == 0xed && second > 0x9f;
    return !overlong && !surrogate && continues(2) ? 3 : 0;
  }
  const bool overlong = lead == 0xf0 && second < 0x90;
  const bool too_large = lead == 0xf4 && second > 0x8f;
  return !overlong && !too_large && continues(2) && continues(3) ? 4 : 0;
}

/// Whether all of `text` is well-formed UTF-8.
[[nodiscard]] constexpr bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    const std::size_t length = utf8_sequence_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace lattice
