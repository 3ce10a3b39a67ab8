// What the int8 matrix multiply extension adds to the NEON kernels: products of several vectors with int8
// activations. One vector is as well served by SDOT.

#include "cpu/kernels/product_kernels.h"
#include "cpu/kernels/simd_neon.h"

namespace lattice::cpu {
namespace {

/// SMMLA multiplies two rows of eight bytes by two columns of eight and adds the four sums to 32 bits: twice
/// SDOT's work. Two words of four rows, zipped, are rows 0 and 1 and rows 2 and 3 over eight columns; the
/// eight bytes of two tokens are the other side. Sums are [row 0 · t0, row 0 · t1, row 1 · t0, row 1 · t1].
template <typename Codes>
struct MatrixTile {
  static constexpr int kMaxTokens = 4;
  static constexpr int kStepTile = 4;
  static constexpr int kQuads = static_cast<int>(kGroupRows) / 4;

  static void load_words(const std::byte* words, int quad, int8x16_t* parts) {
    Codes::load(words + quad * 16, parts);
  }

  /// Four tokens as two pairs, one register of four rows after the other.
  static void four_rows(const PackedRows& weights, std::int64_t group, int quad, const Activation* x,
                        TileSums& out) {
    constexpr std::int64_t kRowOfWords = kGroupRows * 4;
    const std::byte* words = weights.quants + group * weights.blocks * Codes::kWords * kRowOfWords;
    const std::uint16_t* scales = weights.scales + group * weights.blocks * kGroupRows + 4 * quad;
    float32x4_t sums[2][2] = {};  // [pair of rows][pair of tokens]

    for (std::int64_t block = 0; block < weights.blocks; ++block, scales += kGroupRows) {
      int32x4_t products[2][2] = {};
      for (int word = 0; word < Codes::kWords; word += 2, words += 2 * kRowOfWords) {
        int8x16_t first[Codes::kParts];
        int8x16_t second[Codes::kParts];
        load_words(words, quad, first);
        load_words(words + kRowOfWords, quad, second);
        for (int p = 0; p < Codes::kParts; ++p) {
          const int32x4_t a = vreinterpretq_s32_s8(first[p]);
          const int32x4_t b = vreinterpretq_s32_s8(second[p]);
          const int8x16_t rows[2] = {vreinterpretq_s8_s32(vzip1q_s32(a, b)),
                                     vreinterpretq_s8_s32(vzip2q_s32(a, b))};
          const std::int64_t column = block * kBlock + Codes::first_column(word, p);
          for (int pair = 0; pair < 2; ++pair) {
            const int8x16_t tokens =
                vcombine_s8(vld1_s8(x[2 * pair].quants + column), vld1_s8(x[2 * pair + 1].quants + column));
            for (int r = 0; r < 2; ++r) products[r][pair] = vmmlaq_s32(products[r][pair], rows[r], tokens);
          }
        }
      }
      const float32x4_t scale = Neon::load_f16(scales);
      const float32x4_t row_scales[2] = {vzip1q_f32(scale, scale), vzip2q_f32(scale, scale)};
      for (int pair = 0; pair < 2; ++pair) {
        const Activation& t0 = x[2 * pair];
        const Activation& t1 = x[2 * pair + 1];
        const float32x2_t both = {t0.scales[block], t1.scales[block]};
        const float32x4_t token_scales = vcombine_f32(both, both);
        const int32x2_t totals = {t0.totals[block], t1.totals[block]};
        const int32x4_t offsets = vmulq_n_s32(vcombine_s32(totals, totals), Codes::kOffset);
        for (int r = 0; r < 2; ++r) {
          const float32x4_t value = vcvtq_f32_s32(vsubq_s32(products[r][pair], offsets));
          sums[r][pair] = vfmaq_f32(sums[r][pair], vmulq_f32(value, token_scales), row_scales[r]);
        }
      }
    }
    for (int pair = 0; pair < 2; ++pair) {
      vst1q_f32(out.of[2 * pair] + 4 * quad, vuzp1q_f32(sums[0][pair], sums[1][pair]));
      vst1q_f32(out.of[2 * pair + 1] + 4 * quad, vuzp2q_f32(sums[0][pair], sums[1][pair]));
    }
  }

  template <int kTokens>
  static void run(const PackedRows& weights, std::int64_t group, const Activation* x, TileSums& out) {
    // Fewer than four tokens stand in for the others.
    const Activation* last = x + kTokens - 1;
    const Activation four[4] = {x[0], kTokens > 1 ? x[1] : *last, kTokens > 2 ? x[2] : *last,
                                kTokens > 3 ? x[3] : *last};
    for (int quad = 0; quad < kQuads; ++quad) four_rows(weights, group, quad, four, out);
  }
};

struct SignedBytes {
  struct Signed {
    using Codes = int8x16_t;
    static Codes prepare(int32x4_t codes) { return vreinterpretq_s8_s32(codes); }
  };
  using Nibbles = Signed;
  static constexpr int kOffsetQ8 = 0;
};

/// SDOT for one vector, SMMLA for several.
template <typename Codes, Product Kernels::*kFormat>
void dot_or_matrix(const PackedRows& weights, std::int64_t first, std::int64_t last, const Activation* x,
                   std::int64_t tokens, float* y, std::int64_t stride) {
  if (tokens == 1) {
    (neon_dotprod_kernels().*kFormat)(weights, first, last, x, tokens, y, stride);
  } else {
    product<MatrixTile<Codes>>(weights, first, last, x, tokens, y, stride);
  }
}

}  // namespace

const Kernels& neon_i8mm_kernels() noexcept {
  static const Kernels table = [] {
    Kernels kernels = neon_dotprod_kernels();
    kernels.q8_0 = dot_or_matrix<CodesQ8<Neon, SignedBytes>, &Kernels::q8_0>;
    kernels.q4_0 = dot_or_matrix<CodesQ4<Neon, SignedBytes>, &Kernels::q4_0>;
    return kernels;
  }();
  return table;
}

}  // namespace lattice::cpu
