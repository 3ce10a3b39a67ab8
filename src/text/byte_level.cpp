#include "text/byte_level.h"

#include <array>

namespace lattice {
namespace {

constexpr int kCharacters =
    0x144;  // the 68 bytes without a printable character of their own come after U+00FF

/// Printable in Latin-1, and neither a space nor the soft hyphen: such a byte is spelled by the character of
/// its own number.
constexpr bool spells_itself(int byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

struct Alphabet {
  std::array<char[2], 256> utf8{};
  std::array<std::uint8_t, 256> length{};
  std::array<std::int16_t, kCharacters>
      byte_of{};  // by code point; -1 where the alphabet has no such character

  constexpr Alphabet() {
    byte_of.fill(-1);
    int next = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
      const int character = spells_itself(byte) ? byte : next++;
      const auto i = static_cast<std::size_t>(byte);
      byte_of[static_cast<std::size_t>(character)] = static_cast<std::int16_t>(byte);
      if (character < 0x80) {
        utf8[i][0] = static_cast<char>(character);
        length[i] = 1;
      } else {
        utf8[i][0] = static_cast<char>(0xc0 | (character >> 6));
        utf8[i][1] = static_cast<char>(0x80 | (character & 0x3f));
        length[i] = 2;
      }
    }
  }
};
constexpr Alphabet kAlphabet;

}  // namespace

std::string_view spelling_of_byte(std::uint8_t byte) {
  return {kAlphabet.utf8[byte], kAlphabet.length[byte]};
}

std::string spelling_of_bytes(std::string_view bytes) {
  std::string spelling;
  spelling.reserve(bytes.size() * 2);
  for (const char byte : bytes) spelling += spelling_of_byte(static_cast<std::uint8_t>(byte));
  return spelling;
}

std::optional<std::string> bytes_of_spelling(std::string_view spelling) {
  std::string bytes;
  bytes.reserve(spelling.size());
  for (std::size_t i = 0; i < spelling.size(); ++i) {
    unsigned character = static_cast<std::uint8_t>(spelling[i]);
    if (character >= 0x80) {
      // The alphabet ends below U+0144, so two bytes are all that a character of it has.
      const bool two_bytes = (character & 0xe0u) == 0xc0u && i + 1 < spelling.size() &&
                             (static_cast<std::uint8_t>(spelling[i + 1]) & 0xc0u) == 0x80u;
      if (!two_bytes) return std::nullopt;
      character = (character & 0x1fu) << 6 | (static_cast<std::uint8_t>(spelling[++i]) & 0x3fu);
    }
    if (character >= kCharacters || kAlphabet.byte_of[character] < 0) return std::nullopt;
    bytes += static_cast<char>(kAlphabet.byte_of[character]);
  }
  return bytes;
}

}  // namespace lattice
