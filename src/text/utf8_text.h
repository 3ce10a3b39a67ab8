#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace lattice {

/// One character of well-formed UTF-8.
struct Character {
  char32_t code;
  std::size_t length;  ///< in bytes, 1 to 4
};

/// The character at `p`, where well-formed UTF-8 begins.
[[nodiscard]] inline Character character_at(const char* p) noexcept {
  const auto byte = [p](int i) { return static_cast<char32_t>(static_cast<unsigned char>(p[i])); };
  const char32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xe0) return {(lead & 0x1f) << 6 | (byte(1) & 0x3f), 2};
  if (lead < 0xf0) return {(lead & 0x0f) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f), 3};
  return {(lead & 0x07) << 18 | (byte(1) & 0x3f) << 12 | (byte(2) & 0x3f) << 6 | (byte(3) & 0x3f), 4};
}

/// Appends `bytes` to `text` with U+FFFD for what is not UTF-8: one for each longest start of a well-formed
/// sequence that goes no further, as the Unicode Standard recommends (section 3.9, "U+FFFD Substitution of
/// Maximal Subparts") and as Python's errors="replace" and Rust's from_utf8_lossy do it. Returns how many
/// bytes at the end are the start of a sequence that more bytes could complete, at most three: these are not
/// appended.
std::size_t append_replacing(std::string& text, std::string_view bytes);

/// U+FFFD in UTF-8.
inline constexpr std::string_view kReplacement = "\xef\xbf\xbd";

/// All of `bytes`, with U+FFFD for an unfinished sequence at the end too.
[[nodiscard]] std::string replacing_invalid(std::string_view bytes);

}  // namespace lattice
