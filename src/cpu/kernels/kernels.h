#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace lattice::cpu {

// The functions that are written once per instruction set, behind one table of pointers. Everything else of
// the CPU backend is plain C++ that calls them.

constexpr std::int64_t kGroupRows = 16;  ///< rows of a matrix that are stored, and multiplied, together
constexpr std::int64_t kBlock = 32;      ///< columns that are stored together, and that share a scale
/// Up to this many vectors are multiplied in the order of summation of one: each gets, bit for bit, what it
/// would get alone. So as many decode steps can be taken together as if they were taken one by one.
constexpr std::int64_t kStepTokens = 8;

/// How packed weights are stored. The quantised ones are codes of 4, 5, 6 or 8 bits with scales apart; w is
/// what a code q of the file stands for:
///   Q8_0, Q4_0, Q5_0   w = d · (q − 0, 8 or 16), d for each block
///   Q4_K, Q5_K         w = (d · s) · q − (e · m): d and e for 8 blocks, whole numbers s and m for each block
///   Q6_K               w = (d · s) · (q − 32): d for 8 blocks, a whole number s for each half of a block
///   affine             w = s · q + b: one pair for 1, 2 or 4 blocks (MLX; also ggml's Q4_1 and Q5_1)
enum class PackedFormat : std::uint8_t {
  kF32,
  kF16,
  kBF16,
  kQ8_0,
  kQ4_0,
  kQ5_0,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kAffine4,
  kAffine5,
  kAffine6,
  kAffine8,
};
constexpr std::size_t kPackedFormats = 13;
constexpr std::int64_t kSuperBlocks = 8;  ///< blocks of a K-quant's super-block

/// Packed weights. A row's block of 32 columns is cut into words: of 4 bytes, or of 2 for binary16. For each
/// group of 16 rows, for each block, the first word of row 0, of row 1, … of row 15, then the second words, …
/// So a vector register holds the same columns of 4, 8 or 16 rows, sums stay in their lanes with nothing to
/// add up across, and every width of register reads the one layout as one stream. What a word holds:
///   F32 one column; F16 one; BF16 two;
///   codes of 8 bits: four columns, as signed bytes (an affine code less 128);
///   codes of 4 to 6 bits: words 0 … 3 hold the lower four bits, those of the columns 4w … in their low
///     nibbles and those of 16 + 4w … in their high ones. Of 5 bits, bit k of byte i of word 4 belongs to
///     column 4k + i. Of 6, bits 2k and 2k + 1 of byte i of word 4 belong to column 4k + i, those of word 5
///     to column 16 + 4k + i.
/// Rows and columns are padded to whole groups and blocks, with weights of zero.
///
/// Scales stand apart, in the same order, a group's in one piece:
///   Q8_0, Q4_0, Q5_0   [block][16] binary16
///   Q4_K, Q5_K         [super-block] of: d [16] and e [16] binary16, then [8 blocks] of s [16], m [16] u8
///   Q6_K               [super-block] of: d [16] binary16, then [8 blocks][2 halves][16] i8
///   affine             [pair] of: s [16], b [16], binary16 or bfloat16
struct PackedRows {
  const std::byte* quants = nullptr;
  const std::byte* scales = nullptr;
  std::int64_t rows = 0;    ///< without padding
  std::int64_t blocks = 0;  ///< of 32 columns
  int pair_shift = 0;       ///< affine: 2^pair_shift blocks share a pair
  bool bf16_pairs = false;  ///< affine: pairs are bfloat16, not binary16
  /// How far ahead of the block that is multiplied a decode step asks for weights, in bytes of quants; 0
  /// leaves that to the processor (weights_ahead() in isa.h).
  std::int64_t ahead = 0;
};

/// Vectors whose blocks can stand in turn (Activation::turned).
constexpr std::int64_t kInterleaved = 4;

/// Vectors whose blocks can stand in turn (Activation::parts): as many as a tile of AMX has rows.
constexpr std::int64_t kTileTokens = 16;

/// One vector made ready for multiplication. The int8 part is there for quantised weights, unless activations
/// stay exact.
struct Activation {
  const float* values = nullptr;         ///< [blocks · 32], padded with zeros
  const std::int8_t* quants = nullptr;   ///< [blocks · 32], in −127 … 127
  const float* scales = nullptr;         ///< [blocks]: value ≈ scale · quant
  const std::int32_t* totals = nullptr;  ///< [blocks]: Σ quants, for offsets of codes and for biases
  const std::int32_t* halves = nullptr;  ///< [blocks]: Σ of a block's first 16 quants
  // What Kernels::widen makes of the quants, for the products of more than kStepTokens vectors. A block's 32
  // numbers follow those of the block before after kInterleaved times as many, so that neighbouring vectors
  // can be one stream.
  const std::uint8_t* turned = nullptr;  ///< quants + 128
  const std::int16_t* wide = nullptr;    ///< quants
  const float* inputs = nullptr;         ///< [blocks]: scale · total
  // Likewise, with those of kTileTokens vectors in turn.
  const std::int8_t* tile_quants = nullptr;  ///< quants
  const float* tile_scales = nullptr;        ///< scales: one number a block
  const float* tile_inputs = nullptr;        ///< scale · total: one number a block
  /// What Kernels::split makes of the values, likewise: bfloat16, of each block the values, rounded, and what
  /// those lack, rounded. The first 32 numbers of kTileTokens vectors, in turn, then their second 32.
  const std::uint16_t* parts = nullptr;
};

/// Where Kernels::widen writes a vector's forms. Null: the table does not want it (Kernels::prompt_forms).
struct WidenedVector {
  std::uint8_t* turned = nullptr;
  std::int16_t* wide = nullptr;
  float* inputs = nullptr;
  std::int8_t* tile_quants = nullptr;
  float* tile_scales = nullptr;
  float* tile_inputs = nullptr;
};

/// Which forms of a prompt's vectors a table's products want beside what Kernels::quantize makes.
struct PromptForms {
  bool turned = false;  ///< and inputs
  bool wide = false;
  bool tiles = false;  ///< tile_quants, tile_scales and tile_inputs
};

/// Row r of the groups [first, last) times each of `tokens` vectors: token t's goes to y[t · stride + r].
/// Rows past weights.rows are not written. The weights of a group come from memory once for all vectors. Up
/// to kStepTokens vectors do not show in each other's sums. Of more, the first is the first of those that
/// stand in turn.
using Product = void (*)(const PackedRows& weights, std::int64_t first, std::int64_t last,
                         const Activation* x, std::int64_t tokens, float* y, std::int64_t stride);

/// A matrix that a product reads: (i, j) is data[i · row + j · column].
struct Operand {
  const float* data;
  std::int64_t row;
  std::int64_t column = 1;
};

/// What tokens do not see of tokens after them. Row r of the sums belongs to token r / group, and column j to
/// token j.
enum class Causal : std::uint8_t {
  kNo,
  kSums,   ///< columns of c with later tokens are not needed, and hold anything
  kTerms,  ///< columns of a with later tokens are zeros
};

/// c [m, n] = a [m, k] · b [k, n] + keep · c, with a factor of each row in keep [m]; without keep, c is only
/// written. One of b's strides is 1, and k at least 1. n may be any number: rows of c have room for a
/// multiple of 16, and what lies beyond n holds anything afterwards.
struct MatrixProduct {
  Operand a;
  Operand b;
  float* c;
  std::int64_t c_stride;
  std::int64_t m;
  std::int64_t n;
  std::int64_t k;
  const float* keep = nullptr;
  Causal causal = Causal::kNo;
  std::int64_t group = 1;
};
/// Rows of the largest system of equations that Kernels::solve takes.
constexpr std::int64_t kMostSolved = 128;

struct Kernels {
  /// By PackedFormat. With int8 activations, where weights are quantised: integer sums within what shares a
  /// scale, exact.
  std::array<Product, kPackedFormats> products = {};
  /// With float activations.
  std::array<Product, kPackedFormats> exact_products = {};

  /// Fills quants, scales, totals and halves of `blocks` blocks from `values`: scale = max|v| / 127 of each
  /// block, quant = v / scale to nearest. A block whose scale would be below the smallest normal number is
  /// all zero; one that holds an infinity or a NaN gets a scale of NaN, so that it cannot pass for a number
  /// later.
  void (*quantize)(const float* values, std::int64_t blocks, std::int8_t* quants, float* scales,
                   std::int32_t* totals, std::int32_t* halves) = nullptr;

  PromptForms prompt_forms = {};
  /// Makes them of `blocks` blocks of x. Null where nothing is wanted.
  void (*widen)(const Activation& x, std::int64_t blocks, const WidenedVector& to) = nullptr;
  /// Makes Activation::parts of `blocks` blocks of values, for the products of BF16 weights with a prompt's
  /// vectors. Null where those multiply values as they are.
  void (*split)(const float* values, std::int64_t blocks, std::uint16_t* parts) = nullptr;

  /// Σ a[i]·b[i]. n is a multiple of 16, here and below where nothing else is said.
  float (*dot)(const float* a, const float* b, std::int64_t n) = nullptr;
  /// y += a·x.
  void (*axpy)(float a, const float* x, float* y, std::int64_t n) = nullptr;
  /// out[i] = silu(gate[i]) · up[i], with gate and up in turn: pairs[2i], pairs[2i + 1]. Any n.
  void (*swiglu_pairs)(const float* pairs, float* out, std::int64_t n) = nullptr;
  /// x[i] = silu(x[i]). Any n.
  void (*silu)(float* x, std::int64_t n) = nullptr;
  /// out[i] = silu(Σ_t weights[t · stride + i] · rows[t][i]), over `taps` rows.
  void (*convolve)(const float* const* rows, const float* weights, std::int64_t stride, std::int64_t taps,
                   float* out, std::int64_t n) = nullptr;
  /// The largest x[i]; any of them if there is a NaN. Any n but 0.
  float (*largest)(const float* x, std::int64_t n) = nullptr;
  /// x[i] = e^(x[i]·factor − shift), and returns their sum. Below e^−87 the result is 0. Any n.
  float (*exp_sum)(float* x, float factor, float shift, std::int64_t n) = nullptr;
  void (*matmul)(const MatrixProduct& product) = nullptr;
  /// Forward substitution, in place: x [m, n] ← (I − l)⁻¹ x, of l [m, m] what is below the diagonal. m is at
  /// most kMostSolved.
  void (*solve)(const float* l, std::int64_t l_stride, float* x, std::int64_t x_stride, std::int64_t m,
                std::int64_t n) = nullptr;
  /// A step of the delta rule on one head's state s [n, n], in place. For each row, with v its value:
  ///   u = beta·(v − decay·s·k), out = decay·s·q + u·(k·q), s ← decay·s + u·k.
  void (*delta_step)(float* s, const float* k, const float* q, const float* v, float decay, float beta,
                     float* out, std::int64_t n) = nullptr;
  /// binary16 ↔ float.
  void (*to_f16)(const float* in, std::uint16_t* out, std::int64_t n) = nullptr;
  void (*from_f16)(const std::uint16_t* in, float* out, std::int64_t n) = nullptr;

  /// Keys and values of a decode step's attention, as floats and as binary16: rows of d numbers, d a multiple
  /// of 16, that follow each other, against all `heads` that share them.
  ///   score_keys: scores[h · stride + k] = queries[h · d …] · keys[k · d …]. A score depends, to the bit, on
  ///     its query and its key alone.
  ///   add_values: out[h · d + i] += Σ_k weights[h · stride + k] · values[k · d + i], added up one k
  ///     after the other, each rounded once.
  void (*score_keys)(const float* queries, std::int64_t heads, const float* keys, std::int64_t count,
                     std::int64_t d, float* scores, std::int64_t stride) = nullptr;
  void (*score_keys_f16)(const float* queries, std::int64_t heads, const std::uint16_t* keys,
                         std::int64_t count, std::int64_t d, float* scores, std::int64_t stride) = nullptr;
  void (*add_values)(const float* weights, std::int64_t stride, std::int64_t heads, const float* values,
                     std::int64_t count, std::int64_t d, float* out) = nullptr;
  void (*add_values_f16)(const float* weights, std::int64_t stride, std::int64_t heads,
                         const std::uint16_t* values, std::int64_t count, std::int64_t d,
                         float* out) = nullptr;

  /// Reads every byte, as a product with one vector reads weights, `ahead` as in PackedRows, and returns
  /// something that depends on all of them. bytes is a multiple of 512.
  std::uint64_t (*read_all)(const std::byte* from, std::int64_t bytes, std::int64_t ahead) = nullptr;
};

[[nodiscard]] const Kernels& scalar_kernels() noexcept;
#if defined(__x86_64__)
[[nodiscard]] const Kernels& avx2_kernels() noexcept;
[[nodiscard]] const Kernels& avxvnni_kernels() noexcept;
[[nodiscard]] const Kernels& avx512_kernels() noexcept;
[[nodiscard]] const Kernels& avx512vnni_kernels() noexcept;
[[nodiscard]] const Kernels& amx_kernels() noexcept;
#elif defined(__aarch64__)
[[nodiscard]] const Kernels& neon_kernels() noexcept;
[[nodiscard]] const Kernels& neon_dotprod_kernels() noexcept;
[[nodiscard]] const Kernels& neon_i8mm_kernels() noexcept;
#endif

}  // namespace lattice::cpu
