#include "cpu/linear_mixer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace lattice::cpu {
namespace {

constexpr std::int64_t kSolved = 16;  // rows of a chunk that are solved one by one; a multiple of 16
constexpr float kL2Epsilon = 1e-6f;   // inside the sum, as Hugging Face's l2norm has it

float sigmoid(float x) {
  return 1.0f / (1.0f + std::exp(-x));
}

// torch.nn.functional.softplus: x itself above 20.
float softplus(float x) {
  return x > 20.0f ? x : std::log1p(std::exp(x));
}

void scale(float* x, float factor, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) x[i] *= factor;
}

/// In squares, so that the lines that columns are written to stay in the cache until they are full.
void transpose(const float* in, float* out, std::int64_t rows, std::int64_t cols, std::int64_t out_stride) {
  constexpr std::int64_t kSquare = 16;
  for (std::int64_t first_row = 0; first_row < rows; first_row += kSquare) {
    const std::int64_t last_row = std::min(first_row + kSquare, rows);
    for (std::int64_t first_col = 0; first_col < cols; first_col += kSquare) {
      const std::int64_t last_col = std::min(first_col + kSquare, cols);
      for (std::int64_t c = first_col; c < last_col; ++c) {
        for (std::int64_t r = first_row; r < last_row; ++r) out[c * out_stride + r] = in[r * cols + c];
      }
    }
  }
}

}  // namespace

/// The convolution's input `token` tokens into the batch; before it, from the ring; before the sequence's
/// start, nothing.
const float* LinearMixerPass::input_row(std::int64_t token) const {
  if (token >= 0) return in_.qkv + token * in_.stride;
  return position_ + token >= 0 ? conv_row(token) : nullptr;
}

/// One head's channels from `channel` on: silu(Σ taps), into out [linear_head_dim].
void LinearMixerPass::convolve(std::int64_t channel, std::int64_t token, float* out) const {
  const float* rows[kMaxConvKernel];
  std::int64_t taps = 0;
  for (std::int64_t back = config_.conv_kernel - 1; back >= 0; --back) {
    const float* row = input_row(token - back);
    if (row != nullptr) rows[taps++] = row + channel;
  }
  const float* weights =
      weights_.conv_taps.data() + (config_.conv_kernel - taps) * config_.conv_dim() + channel;
  kernels_.convolve(rows, weights, config_.conv_dim(), taps, out, config_.linear_head_dim);
}

/// q (unit, over √d), k (unit) and v of V head `head`.
void LinearMixerPass::load_head(std::int64_t head, std::int64_t token, float* q, float* k, float* v) const {
  const std::int64_t d = config_.linear_head_dim;
  const std::int64_t k_head = config_.k_head_of(head);
  convolve(k_head * d, token, q);
  convolve(config_.linear_k_dim() + k_head * d, token, k);
  convolve(2 * config_.linear_k_dim() + head * d, token, v);
  scale(q, 1.0f / std::sqrt((kernels_.dot(q, q, d) + kL2Epsilon) * static_cast<float>(d)), d);
  scale(k, 1.0f / std::sqrt(kernels_.dot(k, k, d) + kL2Epsilon), d);
}

LinearMixerPass::Gates LinearMixerPass::gates(std::int64_t head, std::int64_t token) const {
  const auto h = static_cast<std::size_t>(head);
  const float* ring = gate_row(token);
  const float a = token >= 0 ? in_.a[token * in_.stride + head] : ring[config_.linear_v_heads + head];
  const float b = token >= 0 ? in_.b[token * in_.stride + head] : ring[head];
  return {.beta = sigmoid(b), .log_decay = weights_.decay_rate[h] * softplus(a + weights_.dt_bias[h])};
}

/// RMSNorm of o with a plain weight, then times silu(z), into the token's output.
void LinearMixerPass::gated_norm(std::int64_t head, std::int64_t token, float* o) const {
  const std::int64_t d = config_.linear_head_dim;
  float* out = out_ + token * config_.linear_v_dim() + head * d;
  const float* z = in_.z + token * in_.stride + head * d;
  const float mean = kernels_.dot(o, o, d) / static_cast<float>(d);
  const float norm = 1.0f / std::sqrt(mean + static_cast<float>(config_.rms_norm_eps));
  std::copy_n(z, d, out);
  kernels_.silu(out, d);
  for (std::int64_t i = 0; i < d; ++i) out[i] *= o[i] * norm * weights_.norm[static_cast<std::size_t>(i)];
}

/// One token's update of `matrix` [d, d], the head's or a copy of it. Uses `scratch` [4, d] and returns where
/// in it the token's read-out [d] is.
float* LinearMixerPass::delta_step(std::int64_t head, std::int64_t token, float* matrix,
                                   float* scratch) const {
  const std::int64_t d = config_.linear_head_dim;
  float* q = scratch;
  float* k = q + d;
  float* v = k + d;
  float* o = v + d;
  load_head(head, token, q, k, v);
  const Gates gate = gates(head, token);
  kernels_.delta_step(matrix, k, q, v, std::exp(gate.log_decay), gate.beta, o, d);
  return o;
}

/// Brings the head's matrix up to the position.
void LinearMixerPass::take_in_pending(std::int64_t head, ThreadScratch& scratch) const {
  float* matrix = delta_ + head * config_.linear_head_dim * config_.linear_head_dim;
  for (std::int64_t token = -pending_; token < 0; ++token)
    delta_step(head, token, matrix, scratch.head.data());
}

void LinearMixerPass::steps(std::int64_t head, ThreadScratch& scratch) const {
  take_in_pending(head, scratch);
  const std::int64_t size = config_.linear_head_dim * config_.linear_head_dim;
  float* matrix = delta_ + head * size;
  for (std::int64_t token = 0; token < tokens_; ++token) {
    if (token == 1) {
      std::copy_n(matrix, size, scratch.chunk.data());
      matrix = scratch.chunk.data();
    }
    gated_norm(head, token, delta_step(head, token, matrix, scratch.head.data()));
    keep_step(head, token);
  }
}

/// Keeps what the delta rule and the next tokens' convolutions need of the head's input. The rings' rows for
/// these positions are read by nobody in this call, so that they can be written while other heads convolve.
/// The V heads of one K head share its channels: the head that stands first in them writes.
void LinearMixerPass::keep_step(std::int64_t head, std::int64_t token) const {
  const std::int64_t d = config_.linear_head_dim;
  const std::int64_t at = token * in_.stride;
  gate_row(token)[head] = in_.b[at + head];
  gate_row(token)[config_.linear_v_heads + head] = in_.a[at + head];
  const std::int64_t k_head = config_.k_head_of(head);
  float* row = conv_row(token);
  const auto keep = [&](std::int64_t channel) { std::copy_n(in_.qkv + at + channel, d, row + channel); };
  keep(2 * config_.linear_k_dim() + head * d);
  const bool first_of_k_head = config_.v_head_order == VHeadOrder::kTiled
                                   ? head < config_.linear_k_heads
                                   : head == 0 || config_.k_head_of(head - 1) != k_head;
  if (first_of_k_head) {
    keep(k_head * d);
    keep(config_.linear_k_dim() + k_head * d);
  }
}

/// One chunk of n tokens, in the notation of transformers' torch_chunk_gated_delta_rule. With c the
/// cumulative log decay, D_ij = e^(c_i − c_j) for j ≤ i and L_ij = β_i (k_i·k_j) D_ij for j < i:
///   (I + L) U = β v, (I + L) W = β e^c k, A_ij = (q_i·k_j) D_ij,
///   V' = U − W S, o_i = e^(c_i) q_i S + Σ_j A_ij V'_j, S ← e^(c_last) S + Σ_i e^(c_last − c_i) k_i V'_iᵀ.
/// `state` is S as [k, v], the transpose of how it is kept.
void LinearMixerPass::chunk(std::int64_t head, std::int64_t first, std::int64_t n, float* state,
                            float* scratch) const {
  const std::int64_t d = config_.linear_head_dim;
  float* q = scratch;                      // [n, d]
  float* k = q + kChunk * d;               // [n, d]
  float* v = k + kChunk * d;               // [n, d]
  float* kt = v + kChunk * d;              // [d, kChunk]
  float* keys = kt + d * kChunk;           // [n, kChunk]: k·k, then L
  float* scores = keys + kChunk * kChunk;  // [n, kChunk]: q·k, then A
  float* uw = scores + kChunk * kChunk;    // [n, 2d]: U beside W, which share the substitution
  float* fresh = uw + kChunk * 2 * d;      // [n, d]: V'
  float* o = fresh + kChunk * d;           // [n, d]
  float* beta = o + kChunk * d;            // [n]
  float* c = beta + kChunk;                // [n]
  float* decays = c + kChunk;              // [n]

  float sum = 0.0f;
  for (std::int64_t i = 0; i < n; ++i) {
    load_head(head, first + i, q + i * d, k + i * d, v + i * d);
    const Gates gate = gates(head, first + i);
    beta[i] = gate.beta;
    c[i] = sum += gate.log_decay;
  }
  if (n < kChunk) std::fill(kt, kt + d * kChunk, 0.0f);
  transpose(k, kt, n, d, kChunk);
  for (std::int64_t i = 0; i < n; i += kSolved) {  // causality spares what is above the diagonal
    const std::int64_t rows = std::min(kSolved, n - i);
    kernels_.matmul(k + i * d, d, kt, kChunk, keys + i * kChunk, kChunk, rows, i + kSolved, d, false);
    kernels_.matmul(q + i * d, d, kt, kChunk, scores + i * kChunk, kChunk, rows, i + kSolved, d, false);
  }
  for (std::int64_t i = 0; i < n; ++i) {
    float* row = uw + i * 2 * d;
    const float to_start = beta[i] * std::exp(c[i]);
    for (std::int64_t l = 0; l < d; ++l) {
      row[l] = beta[i] * v[i * d + l];
      row[d + l] = to_start * k[i * d + l];
    }
    decay_row(i, c, beta[i], decays, keys + i * kChunk, scores + i * kChunk);
  }
  solve(n, keys, uw);

  kernels_.matmul(uw + d, 2 * d, state, d, fresh, d, n, d, d, false);  // W S
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t l = 0; l < d; ++l) fresh[i * d + l] = uw[i * 2 * d + l] - fresh[i * d + l];
  }
  kernels_.matmul(q, d, state, d, o, d, n, d, d, false);
  for (std::int64_t i = 0; i < n; ++i) scale(o + i * d, std::exp(c[i]), d);
  for (std::int64_t i = 0; i < n; i += kSolved) {
    const std::int64_t rows = std::min(kSolved, n - i);
    kernels_.matmul(scores + i * kChunk, kChunk, fresh, d, o + i * d, d, rows, d, i + rows, true);
  }
  for (std::int64_t i = 0; i < n; ++i) gated_norm(head, first + i, o + i * d);

  const float last = c[n - 1];
  for (std::int64_t i = 0; i < n; ++i) scale(fresh + i * d, std::exp(last - c[i]), d);
  scale(state, std::exp(last), d * d);
  kernels_.matmul(kt, kChunk, fresh, d, state, d, d, d, n, true);
}

/// Row i of what the chunk solves: of keys [kChunk], k_i·k_j → −L_ij, of scores, q_i·k_j → A_ij; zero where
/// j > i, up to the end of the row's square. Uses decays [kChunk].
void LinearMixerPass::decay_row(std::int64_t i, const float* c, float beta, float* decays, float* keys,
                                float* scores) const {
  std::copy_n(c, i + 1, decays);
  kernels_.exp_sum(decays, -1.0f, -c[i], i + 1);  // e^(c_i − c_j)
  for (std::int64_t j = 0; j <= i; ++j) {
    scores[j] *= decays[j];
    keys[j] *= -beta * decays[j];
  }
  std::fill(scores + i + 1, scores + round_up(i + 1, kSolved), 0.0f);
}

/// Forward substitution: rows [n, 2d] ← (I + L)⁻¹ rows, with −L in `keys` [n, kChunk]. The rows of a square
/// on the diagonal one by one; what is left of the square, before, as a product.
void LinearMixerPass::solve(std::int64_t n, const float* keys, float* rows) const {
  const std::int64_t width = 2 * config_.linear_head_dim;
  for (std::int64_t first = 0; first < n; first += kSolved) {
    const std::int64_t last = std::min(first + kSolved, n);
    if (first > 0) {
      kernels_.matmul(keys + first * kChunk, kChunk, rows, width, rows + first * width, width, last - first,
                      width, first, true);
    }
    for (std::int64_t i = first + 1; i < last; ++i) {
      for (std::int64_t j = first; j < i; ++j)
        kernels_.axpy(keys[i * kChunk + j], rows + j * width, rows + i * width, width);
    }
  }
}

void LinearMixerPass::chunks(std::int64_t head, ThreadScratch& scratch) const {
  const std::int64_t d = config_.linear_head_dim;
  take_in_pending(head, scratch);
  float* kept = delta_ + head * d * d;
  float* state = scratch.chunk.data();
  transpose(kept, state, d, d, d);
  for (std::int64_t first = 0; first < tokens_; first += kChunk) {
    chunk(head, first, std::min(kChunk, tokens_ - first), state, state + d * d);
  }
  transpose(state, kept, d, d, d);
}

void LinearMixerPass::keep_inputs(std::int64_t first, std::int64_t last) const {
  const std::int64_t taps = config_.conv_kernel;
  for (std::int64_t token = std::max<std::int64_t>(tokens_ - taps, 0); token < tokens_; ++token) {
    std::copy(in_.qkv + token * in_.stride + first, in_.qkv + token * in_.stride + last,
              conv_row(token) + first);
  }
}

}  // namespace lattice::cpu
