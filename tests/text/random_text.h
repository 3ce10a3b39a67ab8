#pragma once

#include <array>
#include <cstddef>
#include <random>
#include <string>

#include <utf8proc.h>

namespace lattice {

inline void append_utf8(std::string& text, char32_t character) {
  std::array<utf8proc_uint8_t, 4> bytes{};
  const auto length = utf8proc_encode_char(static_cast<utf8proc_int32_t>(character), bytes.data());
  text.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(length));
}

/// `length` characters, of all classes that the pre-tokenizer and NFC tell apart, in blocks that were full
/// before Unicode 10: libraries of all versions agree on them.
inline std::string random_text(std::mt19937& random, std::size_t length) {
  struct Block {
    char32_t first;
    char32_t last;
  };
  static constexpr Block kBlocks[] = {
      {' ', ' '},         {'\n', '\n'},       {'\r', '\r'},       {'\t', '\r'},       {'\'', '\''},
      {'0', '9'},         {'a', 'z'},         {'A', 'Z'},         {'!', '/'},         {0, 0x1f},
      {0x80, 0xff},       {0xc0, 0x24f},      {0x17f, 0x17f},     {0x300, 0x36f},     {0x391, 0x3a1},
      {0x410, 0x44f},     {0x5d0, 0x5ea},     {0x5b0, 0x5bd},     {0x627, 0x655},     {0x660, 0x669},
      {0x905, 0x94d},     {0xe01, 0xe3a},     {0x1100, 0x1112},   {0x1161, 0x1175},   {0x11a8, 0x11c2},
      {0x1e00, 0x1eff},   {0x2000, 0x200f},   {0x2010, 0x202f},   {0x20d0, 0x20dc},   {0x2126, 0x212b},
      {0x2150, 0x2188},   {0x2190, 0x21ff},   {0x3000, 0x303f},   {0x3041, 0x3096},   {0x3099, 0x309a},
      {0x4e00, 0x4eff},   {0xac00, 0xd7a3},   {0xe000, 0xe00f},   {0xf900, 0xfa0d},   {0xfb1d, 0xfb36},
      {0xfe00, 0xfe0f},   {0xff01, 0xff5e},   {0x1d15e, 0x1d164}, {0x1d400, 0x1d454}, {0x1f300, 0x1f3ff},
      {0x1f600, 0x1f64f}, {0x20000, 0x2002f}, {0x2f800, 0x2fa1d}};
  constexpr std::string_view kContraction = "stmdrevlSTMDREVL";
  std::string text;
  while (length-- > 0) {
    const Block& block = kBlocks[random() % std::size(kBlocks)];
    const std::size_t repeats = random() % 8 == 0 ? 1 + random() % 4 : 1;
    for (std::size_t i = 0; i < repeats; ++i) {
      append_utf8(text, block.first + random() % (block.last - block.first + 1));
    }
    if (text.back() == '\'' && random() % 2 == 0) {
      for (int i = 0; i < 2; ++i) text += kContraction[random() % kContraction.size()];
    }
  }
  return text;
}

}  // namespace lattice
