#pragma once

#include <cstdint>
#include <span>

namespace lattice {

/// The properties of the characters from `first` to the next range's, as Hugging Face's tokenizers see them
/// (tools/make_unicode_table.py).
struct UnicodeRange {
  std::uint32_t first;
  std::uint8_t properties;  ///< a class in the lowest three bits, and flags
};

namespace unicode {
constexpr std::uint8_t kClassMask = 7;
constexpr std::uint8_t kLetter = 1;  ///< \p{L}
constexpr std::uint8_t kMark = 2;    ///< \p{M}
constexpr std::uint8_t kNumber = 3;  ///< \p{N}
constexpr std::uint8_t kSpace = 4;   ///< \s
/// NFC may change the character, or compose it with what stands before it, or reorder it.
constexpr std::uint8_t kAltered = 8;
/// Not kAltered itself, but may change with a following kAltered character: be composed with it or, being
/// composed already, take it in between (U+00C0 U+0325 becomes U+1E00 U+0300).
constexpr std::uint8_t kBase = 16;
}  // namespace unicode

/// Every character from U+0000 to U+10FFFF, in order.
[[nodiscard]] std::span<const UnicodeRange> unicode_ranges() noexcept;

}  // namespace lattice
