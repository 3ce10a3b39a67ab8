// Matrix products for AVX2 with FMA and F16C: four rows at a time against one vector (decode) or several
// (prefill).

#include "cpu/kernels/kernels.h"
#include "cpu/kernels/simd_avx2.h"
#include "cpu/kernels/tables_avx2.h"

namespace lattice::cpu {
namespace {

/// Four rows of one block, widened to float, for the formats that multiply in float.
struct BlockF32 {
  static constexpr std::int64_t kRowBytes = 128;
  static __m256 load(const std::byte* row, int eighth) {
    return _mm256_loadu_ps(reinterpret_cast<const float*>(row) + 8 * eighth);
  }
};

struct BlockF16 {
  static constexpr std::int64_t kRowBytes = 64;
  static __m256 load(const std::byte* row, int eighth) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(row) + eighth));
  }
};

struct BlockBF16 {
  static constexpr std::int64_t kRowBytes = 64;
  static __m256 load(const std::byte* row, int eighth) {
    const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row) + eighth);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
  }
};

struct BlockQ8 {
  static constexpr std::int64_t kRowBytes = 32;
  static __m256 load(const std::byte* row, int eighth) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(row + 8 * eighth));
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
  }
};

struct BlockQ4 {
  static constexpr std::int64_t kRowBytes = 16;
  static __m256 load(const std::byte* row, int eighth) {
    __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(row + 8 * (eighth % 2)));
    if (eighth >= 2) bytes = _mm_srli_epi16(bytes, 4);
    bytes = _mm_sub_epi8(_mm_and_si128(bytes, _mm_set1_epi8(15)), _mm_set1_epi8(8));
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
  }
};

/// Four scales of a block, widened.
__m128 load_scales(const std::uint16_t* scales) {
  return _mm_cvtph_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(scales)));
}

float lane(__m128 v, int i) {
  alignas(16) float values[4];
  _mm_store_ps(values, v);
  return values[i];
}

/// The sums of one group of four rows against kTokens vectors, in float.
template <typename Block, bool kScaled, int kTokens>
void group_float(const PackedRows& weights, std::int64_t group, const Activation* x, __m128* out) {
  constexpr std::int64_t kGroupBytes = kGroupRows * Block::kRowBytes;
  const std::byte* quants = weights.quants + group * weights.blocks * kGroupBytes;
  const std::uint16_t* scales = weights.scales + group * weights.blocks * kGroupRows;
  __m256 sums[kTokens][kGroupRows];
  for (auto& token : sums) {
    for (__m256& sum : token) sum = _mm256_setzero_ps();
  }

  for (std::int64_t block = 0; block < weights.blocks; ++block, quants += kGroupBytes) {
    if constexpr (kTokens == 1) {
      for (std::int64_t line = 0; line < kGroupBytes; line += 64) {
        _mm_prefetch(reinterpret_cast<const char*>(quants + kPrefetchBytes + line), _MM_HINT_T0);
      }
    }
    [[maybe_unused]] __m128 scale = _mm_setzero_ps();
    if constexpr (kScaled) scale = load_scales(scales + block * kGroupRows);
    for (int row = 0; row < kGroupRows; ++row) {
      const std::byte* from = quants + row * Block::kRowBytes;
      __m256 partial[kTokens];
      for (int t = 0; t < kTokens; ++t) partial[t] = kScaled ? _mm256_setzero_ps() : sums[t][row];
      for (int eighth = 0; eighth < 4; ++eighth) {
        const __m256 w = Block::load(from, eighth);
        for (int t = 0; t < kTokens; ++t) {
          partial[t] =
              _mm256_fmadd_ps(w, _mm256_loadu_ps(x[t].values + block * kBlock + 8 * eighth), partial[t]);
        }
      }
      for (int t = 0; t < kTokens; ++t) {
        sums[t][row] = kScaled ? _mm256_fmadd_ps(_mm256_set1_ps(lane(scale, row)), partial[t], sums[t][row])
                               : partial[t];
      }
    }
  }
  for (int t = 0; t < kTokens; ++t) out[t] = horizontal_sums(sums[t][0], sums[t][1], sums[t][2], sums[t][3]);
}

/// Q8_0 against int8 activations: |w|·(x with w's sign) keeps the first operand unsigned, as vpmaddubsw wants
/// it, and two products of at most 128·127 fit 16 bits.
template <int kTokens>
void group_q8_0(const PackedRows& weights, std::int64_t group, const Activation* x, __m128* out) {
  const std::byte* quants = weights.quants + group * weights.blocks * kGroupRows * kBlock;
  const std::uint16_t* scales = weights.scales + group * weights.blocks * kGroupRows;
  const __m256i ones = _mm256_set1_epi16(1);
  __m256 sums[kTokens][kGroupRows];
  for (auto& token : sums) {
    for (__m256& sum : token) sum = _mm256_setzero_ps();
  }

  for (std::int64_t block = 0; block < weights.blocks; ++block, quants += kGroupRows * kBlock) {
    if constexpr (kTokens == 1) {
      _mm_prefetch(reinterpret_cast<const char*>(quants + kPrefetchBytes), _MM_HINT_T0);
      _mm_prefetch(reinterpret_cast<const char*>(quants + kPrefetchBytes + 64), _MM_HINT_T0);
    }
    const __m128 weight_scale = load_scales(scales + block * kGroupRows);
    __m256i w[kGroupRows];
    __m256i magnitude[kGroupRows];
    for (int row = 0; row < kGroupRows; ++row) {
      w[row] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(quants) + row);
      magnitude[row] = _mm256_abs_epi8(w[row]);
    }
    for (int t = 0; t < kTokens; ++t) {
      const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x[t].quants + block * kBlock));
      const __m256 scale = _mm256_set_m128(weight_scale, weight_scale) * _mm256_set1_ps(x[t].scales[block]);
      const auto accumulate = [&](int row, __m256 row_scale) {
        const __m256i pairs = _mm256_maddubs_epi16(magnitude[row], _mm256_sign_epi8(v, w[row]));
        const __m256 products = _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, ones));
        sums[t][row] = _mm256_fmadd_ps(row_scale, products, sums[t][row]);
      };
      accumulate(0, _mm256_permute_ps(scale, 0x00));
      accumulate(1, _mm256_permute_ps(scale, 0x55));
      accumulate(2, _mm256_permute_ps(scale, 0xaa));
      accumulate(3, _mm256_permute_ps(scale, 0xff));
    }
  }
  for (int t = 0; t < kTokens; ++t) out[t] = horizontal_sums(sums[t][0], sums[t][1], sums[t][2], sums[t][3]);
}

/// Q4_0 against int8 activations. Two rows of a block, 16 bytes each, fill a vector: their low nibbles meet
/// the first 16 activations, their high ones the last 16. The offset of 8 is taken off at the end: Σ d·(q −
/// 8)·x = Σ d·q·x − 8·Σ d·x.
template <int kTokens>
void group_q4_0(const PackedRows& weights, std::int64_t group, const Activation* x, __m128* out) {
  const std::byte* quants = weights.quants + group * weights.blocks * kGroupRows * kBlock / 2;
  const std::uint16_t* scales = weights.scales + group * weights.blocks * kGroupRows;
  const __m256i ones = _mm256_set1_epi16(1);
  const __m256i nibbles = _mm256_set1_epi8(15);
  __m256 sums[kTokens][2];  // rows 0 and 1 in the halves of the first, 2 and 3 in those of the second
  __m128 offsets[kTokens];
  for (int t = 0; t < kTokens; ++t) {
    sums[t][0] = sums[t][1] = _mm256_setzero_ps();
    offsets[t] = _mm_setzero_ps();
  }

  for (std::int64_t block = 0; block < weights.blocks; ++block, quants += kGroupRows * kBlock / 2) {
    if constexpr (kTokens == 1)
      _mm_prefetch(reinterpret_cast<const char*>(quants + kPrefetchBytes), _MM_HINT_T0);
    const __m128 weight_scale = load_scales(scales + block * kGroupRows);
    const __m256i first = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(quants));
    const __m256i second = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(quants) + 1);
    const __m256i low[2] = {_mm256_and_si256(first, nibbles), _mm256_and_si256(second, nibbles)};
    const __m256i high[2] = {_mm256_and_si256(_mm256_srli_epi16(first, 4), nibbles),
                             _mm256_and_si256(_mm256_srli_epi16(second, 4), nibbles)};
    for (int t = 0; t < kTokens; ++t) {
      const auto* v = reinterpret_cast<const __m128i*>(x[t].quants + block * kBlock);
      const __m256i v_low = _mm256_broadcastsi128_si256(_mm_loadu_si128(v));
      const __m256i v_high = _mm256_broadcastsi128_si256(_mm_loadu_si128(v + 1));
      const __m128 scale = weight_scale * _mm_set1_ps(x[t].scales[block]);
      offsets[t] = _mm_fmadd_ps(weight_scale, _mm_set1_ps(x[t].sums[block]), offsets[t]);
      const __m256 row_scales[2] = {
          _mm256_set_m128(_mm_permute_ps(scale, 0x55), _mm_permute_ps(scale, 0x00)),
          _mm256_set_m128(_mm_permute_ps(scale, 0xff), _mm_permute_ps(scale, 0xaa)),
      };
      for (int pair = 0; pair < 2; ++pair) {
        const __m256i products = _mm256_add_epi16(_mm256_maddubs_epi16(low[pair], v_low),
                                                  _mm256_maddubs_epi16(high[pair], v_high));
        sums[t][pair] = _mm256_fmadd_ps(row_scales[pair],
                                        _mm256_cvtepi32_ps(_mm256_madd_epi16(products, ones)), sums[t][pair]);
      }
    }
  }
  for (int t = 0; t < kTokens; ++t) {
    const __m256 halves = _mm256_hadd_ps(sums[t][0], sums[t][1]);  // [0, 0, 2, 2 | 1, 1, 3, 3]
    const __m256 rows = _mm256_hadd_ps(halves, halves);            // [0, 2, 0, 2 | 1, 3, 1, 3]
    const __m128 total = _mm_unpacklo_ps(_mm256_castps256_ps128(rows), _mm256_extractf128_ps(rows, 1));
    out[t] = _mm_fnmadd_ps(_mm_set1_ps(8.0f), offsets[t], total);
  }
}

using Group = void (*)(const PackedRows&, std::int64_t, const Activation*, __m128*);

template <Group kGroup>
void gemv(const PackedRows& weights, std::int64_t first, std::int64_t last, const Activation& x, float* y) {
  for (std::int64_t group = first; group < last; ++group) {
    __m128 sums;
    kGroup(weights, group, &x, &sums);
    _mm_storeu_ps(y + group * kGroupRows, sums);
  }
}

/// Stores one group's sums of one token, leaving out rows that are padding.
void store(__m128 sums, std::int64_t row, std::int64_t rows, float* y) {
  if (row + kGroupRows <= rows) {
    _mm_storeu_ps(y + row, sums);
    return;
  }
  for (std::int64_t i = 0; row + i < rows; ++i) y[row + i] = lane(sums, static_cast<int>(i));
}

/// Tokens in blocks that stay in the first-level cache with a group's weights, so that the weights come from
/// memory once a block.
template <Group kFour, Group kOne, int kWide>
void gemm(const PackedRows& weights, std::int64_t first, std::int64_t last, const Activation* x,
          std::int64_t tokens, float* y, std::int64_t stride) {
  for (std::int64_t group = first; group < last; ++group) {
    __m128 sums[kWide];
    std::int64_t t = 0;
    for (; t + kWide <= tokens; t += kWide) {
      kFour(weights, group, x + t, sums);
      for (int i = 0; i < kWide; ++i) store(sums[i], group * kGroupRows, weights.rows, y + (t + i) * stride);
    }
    for (; t < tokens; ++t) {
      kOne(weights, group, x + t, sums);
      store(sums[0], group * kGroupRows, weights.rows, y + t * stride);
    }
  }
}

template <typename Block, bool kScaled>
constexpr FormatKernels float_kernels() {
  return {.gemv = gemv<group_float<Block, kScaled, 1>>,
          .gemm = gemm<group_float<Block, kScaled, 3>, group_float<Block, kScaled, 1>, 3>};
}

}  // namespace

void add_products_avx2(Kernels& table) noexcept {
  table.f32 = float_kernels<BlockF32, false>();
  table.f16 = float_kernels<BlockF16, false>();
  table.bf16 = float_kernels<BlockBF16, false>();
  table.q8_0_exact = float_kernels<BlockQ8, true>();
  table.q4_0_exact = float_kernels<BlockQ4, true>();
  table.q8_0 = {.gemv = gemv<group_q8_0<1>>, .gemm = gemm<group_q8_0<3>, group_q8_0<1>, 3>};
  table.q4_0 = {.gemv = gemv<group_q4_0<1>>, .gemm = gemm<group_q4_0<4>, group_q4_0<1>, 4>};
}

}  // namespace lattice::cpu
