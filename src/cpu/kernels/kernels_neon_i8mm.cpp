// What the int8 matrix multiply extension adds to the NEON kernels: products of several vectors with int8
// activations. One vector is as well served by SDOT.

#include "cpu/kernels/product_kernels.h"
#include "cpu/kernels/simd_neon.h"

namespace lattice::cpu {
namespace {

/// SMMLA multiplies two rows of eight bytes by two columns of eight and adds the four sums to 32 bits: twice
/// SDOT's work. Two words of four rows, zipped, are rows 0 and 1 and rows 2 and 3 over eight columns; the
/// eight bytes of two tokens are the other side. Sums are [row 0 · t0, row 0 · t1, row 1 · t0, row 1 · t1].
template <typename Format>
struct MatrixTile {
  static constexpr int kMaxTokens = 4;
  static constexpr int kQuads = static_cast<int>(kGroupRows) / 4;
  static constexpr int kHalves = Format::kHalves;
  using Reader = CodeReader<Neon, Format::kBits>;
  using Scales = typename Format::Scales;

  /// Σ (code − zero) · x of Σ code · x and Σ x, as floats.
  static float32x4_t less_zero(int32x4_t products, int32x2_t totals) {
    const int32x4_t offsets = vmulq_n_s32(vcombine_s32(totals, totals), Format::kZero);
    return vcvtq_f32_s32(vsubq_s32(products, offsets));
  }

  /// Four tokens as two pairs, one register of four rows after the other.
  static void four_rows(const PackedRows& weights, std::int64_t group, int quad, const Activation* x,
                        TileSums& out) {
    const std::byte* words = weights.quants + group * weights.blocks * Reader::kBlockBytes + quad * 16;
    float32x4_t sums[2][2] = {};  // [pair of rows][pair of tokens]

    for (std::int64_t block = 0; block < weights.blocks; ++block, words += Reader::kBlockBytes) {
      int32x4_t products[kHalves][2][2] = {};
      const Reader reader(words);
      unrolled<Reader::kSteps / 2>([&](auto pair_of_steps) LATTICE_INLINE {
        unrolled<Reader::kParts>([&](auto part) LATTICE_INLINE {
          constexpr int kStep = 2 * decltype(pair_of_steps)::value;
          constexpr int kPart = decltype(part)::value;
          constexpr int kHalf = kHalves == 2 ? kPart : 0;
          const int32x4_t a = reader.template codes<kStep, kPart>();
          const int32x4_t b = reader.template codes<kStep + 1, kPart>();
          const int8x16_t rows[2] = {vreinterpretq_s8_s32(vzip1q_s32(a, b)),
                                     vreinterpretq_s8_s32(vzip2q_s32(a, b))};
          const std::int64_t column = block * kBlock + Reader::column(kStep, kPart);
          for (int pair = 0; pair < 2; ++pair) {
            const int8x16_t tokens =
                vcombine_s8(vld1_s8(x[2 * pair].quants + column), vld1_s8(x[2 * pair + 1].quants + column));
            for (int r = 0; r < 2; ++r)
              products[kHalf][r][pair] = vmmlaq_s32(products[kHalf][r][pair], rows[r], tokens);
          }
        });
      });
      ScaleRegisters<Neon, kHalves> scales;
      Scales::load(weights, {group, block}, 4 * quad, scales);
      for (int pair = 0; pair < 2; ++pair) {
        const Activation& t0 = x[2 * pair];
        const Activation& t1 = x[2 * pair + 1];
        const float32x2_t both = {t0.scales[block], t1.scales[block]};
        const float32x4_t token_scales = vcombine_f32(both, both);
        const int32x2_t totals = {t0.totals[block], t1.totals[block]};
        for (int r = 0; r < 2; ++r) {
          const auto of_rows = [r](float32x4_t values) {
            return r == 0 ? vzip1q_f32(values, values) : vzip2q_f32(values, values);
          };
          float32x4_t& sum = sums[r][pair];
          if constexpr (kHalves == 1) {
            const float32x4_t product = less_zero(products[0][r][pair], totals);
            sum = vfmaq_f32(sum, vmulq_f32(product, token_scales), of_rows(scales.scale[0]));
          } else {
            const int32x2_t halves = {t0.halves[block], t1.halves[block]};
            const float32x4_t first = less_zero(products[0][r][pair], halves);
            const float32x4_t second = less_zero(products[1][r][pair], vsub_s32(totals, halves));
            const float32x4_t scaled =
                vfmaq_f32(vmulq_f32(first, of_rows(scales.scale[0])), second, of_rows(scales.scale[1]));
            sum = vfmaq_f32(sum, scaled, token_scales);
          }
          if constexpr (Scales::kBias) {
            const float32x2_t inputs = vmul_f32(both, vcvt_f32_s32(totals));
            sum = vfmaq_f32(sum, vcombine_f32(inputs, inputs), of_rows(scales.bias));
          }
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

/// SDOT for one vector, SMMLA for several.
template <typename Format, PackedFormat kFormat>
void dot_or_matrix(const PackedRows& weights, std::int64_t first, std::int64_t last, const Activation* x,
                   std::int64_t tokens, float* y, std::int64_t stride) {
  if (tokens == 1) {
    const Product one = neon_dotprod_kernels().products[index_of(kFormat)];
    one(weights, first, last, x, tokens, y, stride);
  } else {
    product<MatrixTile<Format>>(weights, first, last, x, tokens, y, stride);
  }
}

}  // namespace

const Kernels& neon_i8mm_kernels() noexcept {
  static const Kernels table = [] {
    Kernels kernels = neon_dotprod_kernels();
    each_coded([&]<PackedFormat kFormat, typename Format>(Named<kFormat, Format>) {
      kernels.products[index_of(kFormat)] = dot_or_matrix<Format, kFormat>;
    });
    return kernels;
  }();
  return table;
}

}  // namespace lattice::cpu
