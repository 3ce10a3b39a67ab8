#include "bench/random_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <span>

#include "bench/shapes.h"
#include "quant/blocks.h"
#include "support/fail.h"
#include "support/float16.h"
#include "support/random.h"

namespace lattice::bench {
namespace {

// What `random_bits` is asked for; matrices and vectors draw from different streams.
constexpr std::uint64_t kPoolStream = 1 << 20;

// Rows from one matrix's window into a pool to the next one's: any number, but not a multiple of the rows
// that a backend stores together, so that no two matrices have groups of rows in common.
constexpr std::int64_t kWindowStep = 61;

// Elements are uniform in sign and, within one power of two, in mantissa: ±[1, 2) · 2^e has the root mean
// square 2^e · √(7/3).
constexpr double kMantissaRms = 1.527525231651947;
// The root mean square of the quants: of −127 … 127 for Q8_0, of −8 … 7 for Q4_0.
constexpr double kQ8Rms = 73.6;
constexpr double kQ4Rms = 4.6;
// And of K-quants' whole numbers. Of Q4_K and Q5_K, s·q − m·(the mean of q), s and m uniform in 0 … 63, for a
// dmin that puts the mean of all weights at zero; of Q6_K, s·(q − 32), s uniform in −128 … 127.
constexpr double kQ4KRms = 258.3;
constexpr double kQ4KMean = 7.5;
constexpr double kQ5KRms = 526.9;
constexpr double kQ5KMean = 15.5;
constexpr double kQ6KRms = 1366;

/// Fills rows [first, last) of a matrix, given where it begins.
void fill_rows(const MatrixView& shape, std::byte* data, std::int64_t first, std::int64_t last,
               std::uint64_t seed) {
  const double rms = 1.0 / std::sqrt(static_cast<double>(shape.cols));
  const auto exponent = static_cast<int>(std::lround(std::log2(rms / kMantissaRms)));
  const std::int64_t row_bytes = shape.row_bytes();
  const std::int64_t words = (row_bytes + 7) / 8;
  std::vector<std::uint64_t> row(static_cast<std::size_t>(words));
  auto* bytes = reinterpret_cast<std::byte*>(row.data());

  const auto each_u16 = [&](std::uint16_t keep, std::uint16_t set) {
    for (std::int64_t i = 0; i < row_bytes; i += 2) {
      std::uint16_t value;
      std::memcpy(&value, bytes + i, sizeof value);
      value = static_cast<std::uint16_t>((value & keep) | set);
      std::memcpy(bytes + i, &value, sizeof value);
    }
  };
  // The scales that stand at `at` in each block, and `factor` times them as the ones that follow, if any.
  const auto each_block_scale = [&](std::int64_t block, double quant_rms, std::int64_t at = 0,
                                    double factor = 0) {
    // One in four around the right size, from the block's own random bits.
    for (std::int64_t i = at; i < row_bytes; i += block) {
      std::uint16_t bits;
      std::memcpy(&bits, bytes + i, sizeof bits);
      const double spread = 0.75 + 0.5 * static_cast<double>(bits) / 65536.0;
      const double value = rms / quant_rms * spread;
      const std::uint16_t scales[] = {f32_to_f16(static_cast<float>(value)),
                                      f32_to_f16(static_cast<float>(value * factor))};
      std::memcpy(bytes + i, scales, factor == 0 ? sizeof scales[0] : sizeof scales);
    }
  };

  for (std::int64_t r = first; r < last; ++r) {
    for (std::int64_t w = 0; w < words; ++w) {
      row[static_cast<std::size_t>(w)] = random_bits(seed, static_cast<std::uint64_t>(r * words + w));
    }
    switch (shape.dtype) {
      case DType::kF32:
        for (std::int64_t i = 0; i < row_bytes; i += 4) {
          std::uint32_t value;
          std::memcpy(&value, bytes + i, sizeof value);
          value = (value & 0x807fffffu) | (static_cast<std::uint32_t>(exponent + 127) << 23);
          std::memcpy(bytes + i, &value, sizeof value);
        }
        break;
      case DType::kBF16:
        each_u16(0x807f, static_cast<std::uint16_t>((exponent + 127) << 7));
        break;
      case DType::kF16:
        each_u16(0x83ff, static_cast<std::uint16_t>((exponent + 15) << 10));
        break;
      case DType::kQ8_0:
        // No quantiser writes −128, and kernels may count on that.
        std::replace(bytes, bytes + row_bytes, std::byte{0x80}, std::byte{0x81});
        each_block_scale(sizeof(block_q8_0), kQ8Rms);
        break;
      case DType::kQ4_0:
        each_block_scale(sizeof(block_q4_0), kQ4Rms);
        break;
      case DType::kQ4_K:
        each_block_scale(block_bytes(shape.dtype), kQ4KRms, 0, kQ4KMean);
        break;
      case DType::kQ5_K:
        each_block_scale(block_bytes(shape.dtype), kQ5KRms, 0, kQ5KMean);
        break;
      case DType::kQ6_K:
        each_block_scale(block_bytes(shape.dtype), kQ6KRms, 208);
        break;
      default:
        fail_usage("random weights are not made in {}", dtype_name(shape.dtype));
    }
    std::memcpy(data + r * row_bytes, bytes, static_cast<std::size_t>(row_bytes));
  }
}

struct PoolShape {
  std::int64_t rows = 0;      // of the largest matrix
  std::int64_t matrices = 0;  // windows into it
};

/// The matrices of a model one by one, in the order in which weights are made: `matrix(rows, cols)`.
template <typename Matrix>
Weights make_weights(const Config& config, const Matrix& matrix) {
  const std::int64_t hidden = config.hidden_size;
  Weights weights;
  const auto make_layer = [&](LayerKind kind) {
    Layer layer;
    if (kind == LayerKind::kLinear) {
      LinearMixer mixer;
      mixer.qkv = matrix(config.conv_dim(), hidden);
      mixer.z = matrix(config.linear_v_dim(), hidden);
      mixer.b = matrix(config.linear_v_heads, hidden);
      mixer.a = matrix(config.linear_v_heads, hidden);
      mixer.out = matrix(hidden, config.linear_v_dim());
      layer.mixer = std::move(mixer);
    } else {
      FullMixer mixer;
      mixer.q = matrix(2 * config.q_dim(), hidden);
      mixer.k = matrix(config.kv_dim(), hidden);
      mixer.v = matrix(config.kv_dim(), hidden);
      mixer.o = matrix(hidden, config.q_dim());
      layer.mixer = std::move(mixer);
    }
    layer.gate = matrix(config.intermediate_size, hidden);
    layer.up = matrix(config.intermediate_size, hidden);
    layer.down = matrix(hidden, config.intermediate_size);
    return layer;
  };
  weights.embed = matrix(config.vocab_size, hidden);
  for (const LayerKind kind : config.layers) weights.layers.push_back(make_layer(kind));
  weights.head = config.tie_word_embeddings ? weights.embed : matrix(config.vocab_size, hidden);
  if (config.mtp) {
    weights.mtp.emplace();
    weights.mtp->fc = matrix(hidden, 2 * hidden);
    weights.mtp->layer = make_layer(LayerKind::kFull);
  }
  return weights;
}

std::map<std::int64_t, PoolShape> pool_shapes(const Config& config) {
  std::map<std::int64_t, PoolShape> pools;
  (void)make_weights(config, [&](std::int64_t rows, std::int64_t cols) {
    PoolShape& pool = pools[cols];
    pool.rows = std::max(pool.rows, rows);
    ++pool.matrices;
    return MatrixView{};
  });
  for (auto& [cols, pool] : pools) pool.rows += pool.matrices * kWindowStep;
  return pools;
}

/// Fills the small tensors, as Qwen3_5's initialisation has them: norms about 1, the decay's time constants
/// log-uniform in (0, 16].
class SmallTensors {
 public:
  std::vector<float> uniform(std::int64_t n, float low, float high) {
    std::vector<float> out(static_cast<std::size_t>(n));
    ++stream_;
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = low + (high - low) * random_unit(stream_, i);
    return out;
  }
  std::vector<float> norm(std::int64_t n) { return uniform(n, 0.8f, 1.2f); }

 private:
  std::uint64_t stream_ = 0;
};

void fill_small_tensors(const Config& config, Weights& weights) {
  SmallTensors make;
  const auto fill = [&](Layer& layer) {
    layer.mixer_norm = make.norm(config.hidden_size);
    layer.mlp_norm = make.norm(config.hidden_size);
    if (auto* linear = std::get_if<LinearMixer>(&layer.mixer)) {
      linear->conv = make.uniform(config.conv_dim() * config.conv_kernel, -0.5f, 0.5f);
      linear->decay_rate = make.uniform(config.linear_v_heads, -16.0f, -0.01f);
      linear->dt_bias = make.uniform(config.linear_v_heads, -5.0f, 1.0f);
      linear->norm = make.norm(config.linear_head_dim);
    } else {
      auto& full = std::get<FullMixer>(layer.mixer);
      full.q_norm = make.norm(config.head_dim);
      full.k_norm = make.norm(config.head_dim);
    }
  };
  for (Layer& layer : weights.layers) fill(layer);
  weights.final_norm = make.norm(config.hidden_size);
  if (!weights.mtp) return;
  fill(weights.mtp->layer);
  for (std::vector<float>* norm : {&weights.mtp->embed_norm, &weights.mtp->hidden_norm, &weights.mtp->norm}) {
    *norm = make.norm(config.hidden_size);
  }
}

MatrixView shape_of(DType type, std::int64_t rows, std::int64_t cols) {
  MatrixView shape;
  shape.dtype = type;
  shape.rows = rows;
  shape.cols = cols;
  return shape;
}

}  // namespace

RandomMatrix::RandomMatrix(DType type, std::int64_t rows, std::int64_t cols, std::uint64_t seed,
                           ThreadPool& pool)
    : shape_(shape_of(type, rows, cols)) {
  const auto bytes = static_cast<std::size_t>(shape_.total_bytes());
  data_.reset(new (std::nothrow) std::byte[bytes]);
  if (!data_) fail("there is no memory for a random matrix of {:.1f} GB", static_cast<double>(bytes) * 1e-9);
  pool.run([&](int thread) {
    const Share share = share_of(rows, thread, pool.size());
    fill_rows(shape_, data_.get(), share.first, share.last, seed);
  });
}

MatrixView RandomMatrix::view() const noexcept {
  MatrixView view = shape_;
  view.data = data_.get();
  return view;
}

RandomModel::RandomModel(const Config& config, DType type, ThreadPool& pool) {
  for (const auto& [cols, shape] : pool_shapes(config)) {
    const auto seed = kPoolStream + static_cast<std::uint64_t>(cols);
    pools_.emplace(cols, RandomMatrix(type, shape.rows, cols, seed, pool));
  }
  std::map<std::int64_t, std::int64_t> windows;
  weights_ = make_weights(config, [&](std::int64_t rows, std::int64_t cols) {
    const std::int64_t first = windows[cols]++ * kWindowStep;
    return pools_.at(cols).view().row_slice(first, rows);
  });
  fill_small_tensors(config, weights_);
}

std::int64_t RandomModel::pool_bytes(const Config& config, DType type) {
  std::int64_t bytes = 0;
  for (const auto& [cols, pool] : pool_shapes(config)) bytes += shape_of(type, pool.rows, cols).total_bytes();
  return bytes;
}

std::int64_t RandomModel::matrix_bytes(const Config& config, DType type) {
  std::int64_t bytes = 0;
  const auto add = [&](std::int64_t rows, std::int64_t cols) {
    bytes += shape_of(type, rows, cols).total_bytes();
    return MatrixView{};
  };
  (void)make_weights(config, add);
  return bytes;
}

}  // namespace lattice::bench
