#include "cpu/packed_layout.h"

#include <array>
#include <cstring>

#include "support/float16.h"

namespace lattice::cpu {
namespace {

using Scales = PackedLayout::Scales;

// In the order of PackedFormat.
constexpr std::array<PackedLayout, kPackedFormats> kLayouts = {{
    {.bits = 32, .coded = false, .zero = 0, .scales = Scales::kNone},
    {.bits = 16, .coded = false, .zero = 0, .scales = Scales::kNone},
    {.bits = 16, .coded = false, .zero = 0, .scales = Scales::kNone},
    {.bits = 8, .coded = true, .zero = 0, .scales = Scales::kPerBlock},
    {.bits = 4, .coded = true, .zero = 8, .scales = Scales::kPerBlock},
    {.bits = 5, .coded = true, .zero = 16, .scales = Scales::kPerBlock},
    {.bits = 4, .coded = true, .zero = 0, .scales = Scales::kPerSuper},
    {.bits = 5, .coded = true, .zero = 0, .scales = Scales::kPerSuper},
    {.bits = 6, .coded = true, .zero = 32, .scales = Scales::kPerHalf},
    {.bits = 4, .coded = true, .zero = 0, .scales = Scales::kPerPair},
    {.bits = 5, .coded = true, .zero = 0, .scales = Scales::kPerPair},
    {.bits = 6, .coded = true, .zero = 0, .scales = Scales::kPerPair},
    {.bits = 8, .coded = true, .zero = -128, .scales = Scales::kPerPair},
}};
static_assert(kLayouts.size() == static_cast<std::size_t>(PackedFormat::kAffine8) + 1);

/// Bytes of what stands before the blocks' own scales in a super-block of 16 rows, and of each block's.
constexpr std::int64_t head_bytes(Scales scales) {
  return scales == Scales::kPerSuper ? 4 * kGroupRows : 2 * kGroupRows;
}
constexpr std::int64_t kOwnBytes = 2 * kGroupRows;

std::uint16_t u16_at(const std::byte* p) {
  std::uint16_t value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

/// Word w of a row whose first word is at `block`.
std::int64_t word_offset(std::int64_t w) {
  return w * kGroupRows * 4;
}

/// The bits of code c above its lower four stand in byte c % 4 of a word: which, and from which bit on.
struct HighBits {
  std::int64_t word;
  int shift;
};
HighBits high_bits(int bits, std::int64_t c) {
  if (bits == 5) return {4, static_cast<int>(c / 4)};
  return {4 + c / 16, static_cast<int>(2 * (c % 16 / 4))};
}

/// The bits above the lower four of codes c … c + 3, into a row's words.
void store_high_bits(int bits, const std::uint8_t* codes, std::int64_t c, std::uint8_t* words) {
  const HighBits high = high_bits(bits, c);
  std::uint32_t four;  // bytes that do not meet, whatever their order
  std::uint32_t all;
  std::memcpy(&four, codes + c, sizeof four);
  std::memcpy(&all, words + 4 * high.word, sizeof all);
  all |= ((four >> 4) & 0x0f0f0f0fu) << high.shift;
  std::memcpy(words + 4 * high.word, &all, sizeof all);
}

std::int64_t low_offset(std::int64_t c) {
  return word_offset(c % 16 / 4) + c % 4;
}

}  // namespace

const PackedLayout& layout_of(PackedFormat format) noexcept {
  return kLayouts[static_cast<std::size_t>(format)];
}

std::int64_t group_quant_bytes(PackedFormat format, std::int64_t blocks) noexcept {
  return blocks * kGroupRows * kBlock * layout_of(format).bits / 8;
}

std::int64_t group_scale_bytes(PackedFormat format, std::int64_t blocks, int pair_shift) noexcept {
  const Scales scales = layout_of(format).scales;
  switch (scales) {
    case Scales::kNone:
      return 0;
    case Scales::kPerBlock:
      return blocks * 2 * kGroupRows;
    case Scales::kPerPair:
      return (blocks >> pair_shift) * 4 * kGroupRows;
    default:
      return blocks / kSuperBlocks * (head_bytes(scales) + kSuperBlocks * kOwnBytes);
  }
}

std::int64_t quant_offset(PackedFormat format, std::int64_t blocks, std::int64_t row,
                          std::int64_t block) noexcept {
  const std::int64_t word_bytes = format == PackedFormat::kF16 ? 2 : 4;
  return row / kGroupRows * group_quant_bytes(format, blocks) + block * group_quant_bytes(format, 1) +
         row % kGroupRows * word_bytes;
}

std::int64_t super_offset(const PackedRows& rows, PackedFormat format, std::int64_t row,
                          std::int64_t block) noexcept {
  const std::int64_t bytes = group_scale_bytes(format, kSuperBlocks, 0);
  return (row / kGroupRows * rows.blocks + block) / kSuperBlocks * bytes + row % kGroupRows * 2;
}

std::int64_t scale_offset(const PackedRows& rows, PackedFormat format, std::int64_t row,
                          std::int64_t block) noexcept {
  const Scales scales = layout_of(format).scales;
  const std::int64_t index = row / kGroupRows * rows.blocks + block;
  const std::int64_t lane = row % kGroupRows;
  if (scales == Scales::kPerBlock) return (index * kGroupRows + lane) * 2;
  if (scales == Scales::kPerPair) return ((index >> rows.pair_shift) * 2 * kGroupRows + lane) * 2;
  return super_offset(rows, format, row, block) - lane * 2 + head_bytes(scales) +
         block % kSuperBlocks * kOwnBytes + lane;
}

void store_codes(int bits, std::span<const std::uint8_t, kBlock> codes, std::byte* block) noexcept {
  if (bits == 8) {
    for (std::size_t w = 0; w < 8; ++w)
      std::memcpy(block + word_offset(static_cast<std::int64_t>(w)), codes.data() + 4 * w, 4);
    return;
  }
  // A row's words lie apart: they are made side by side first.
  std::array<std::uint8_t, 24> words = {};
  for (std::size_t c = 0; c < 16; ++c)
    words[c] = static_cast<std::uint8_t>((codes[c] & 15) | codes[16 + c] << 4);
  if (bits > 4) {
    for (std::int64_t c = 0; c < kBlock; c += 4) store_high_bits(bits, codes.data(), c, words.data());
  }
  for (std::int64_t w = 0; w < bits; ++w) std::memcpy(block + word_offset(w), words.data() + 4 * w, 4);
}

int code_at(int bits, const std::byte* block, std::int64_t c) noexcept {
  if (bits == 8) return static_cast<std::int8_t>(block[word_offset(c / 4) + c % 4]);
  const int low = (static_cast<int>(block[low_offset(c)]) >> (c < 16 ? 0 : 4)) & 15;
  if (bits == 4) return low;
  const HighBits high = high_bits(bits, c);
  const int byte = static_cast<int>(block[word_offset(high.word) + c % 4]);
  const int above = (byte >> high.shift) & ((1 << (bits - 4)) - 1);
  return low | (above << 4);
}

WeightScale weight_scale(const PackedRows& rows, PackedFormat format, std::int64_t row, std::int64_t block,
                         int half) noexcept {
  const Scales scales = layout_of(format).scales;
  const std::byte* own = rows.scales + scale_offset(rows, format, row, block);
  switch (scales) {
    case Scales::kPerBlock:
      return {f16_to_f32(u16_at(own)), 0.0f};
    case Scales::kPerPair: {
      const auto value = rows.bf16_pairs ? bf16_to_f32 : f16_to_f32;
      return {value(u16_at(own)), value(u16_at(own + 2 * kGroupRows))};
    }
    default:
      break;
  }
  const std::byte* super = rows.scales + super_offset(rows, format, row, block);
  const float d = f16_to_f32(u16_at(super));
  if (scales == Scales::kPerHalf)
    return {d * static_cast<float>(static_cast<std::int8_t>(own[half * kGroupRows])), 0.0f};
  const float e = f16_to_f32(u16_at(super + 2 * kGroupRows));
  return {d * static_cast<float>(own[0]), -(e * static_cast<float>(own[kGroupRows]))};
}

}  // namespace lattice::cpu
