#include "cpu/linear_mixer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace lattice::cpu {
namespace {

constexpr float kL2Epsilon = 1e-6f;  // inside the sum, as Hugging Face's l2norm has it

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

}  // namespace

/// The convolution's input `token` tokens into the batch; before it, from the ring; before the sequence's
/// start, nothing.
const float* LinearMixerPass::input_row(std::int64_t token) const {
  if (token >= 0) return in_.qkv + token * in_.stride;
  return position_ + token >= 0 ? conv_row(token) : nullptr;
}

LinearMixerPass::Channels LinearMixerPass::channels_of(std::int64_t head) const {
  const std::int64_t d = config_.linear_head_dim;
  const std::int64_t k_head = config_.k_head_of(head);
  return {
      .q = k_head * d, .k = config_.linear_k_dim() + k_head * d, .v = 2 * config_.linear_k_dim() + head * d};
}

/// One head's channels from `channel` on: silu(Σ taps), into out [linear_head_dim]. The channels' taps begin
/// at `taps`, `stride` apart.
void LinearMixerPass::convolve(std::int64_t channel, std::int64_t token, const float* taps,
                               std::int64_t stride, float* out) const {
  const float* rows[kMaxConvKernel];
  std::int64_t count = 0;
  for (std::int64_t back = config_.conv_kernel - 1; back >= 0; --back) {
    const float* row = input_row(token - back);
    if (row != nullptr) rows[count++] = row + channel;
  }
  kernels_.convolve(rows, taps + (config_.conv_kernel - count) * stride, stride, count, out,
                    config_.linear_head_dim);
}

/// The same of n tokens from `first` on, whose outputs are out_stride apart. Kept taps are a multiple of 4 KB
/// apart, and so are a head's q, k and v, all in a few sets of the first-level cache: so taps come together
/// in room [conv_kernel, d] first, and q, k and v one after the other.
void LinearMixerPass::convolve_chunk(std::int64_t channel, std::int64_t first, std::int64_t n, float* room,
                                     float* out, std::int64_t out_stride) const {
  const std::int64_t d = config_.linear_head_dim;
  for (std::int64_t t = 0; t < config_.conv_kernel; ++t)
    std::copy_n(weights_.conv_taps.data() + t * config_.conv_dim() + channel, d, room + t * d);
  for (std::int64_t i = 0; i < n; ++i) convolve(channel, first + i, room, d, out + i * out_stride);
}

/// q to unit length, over √d, and k to unit length.
void LinearMixerPass::to_unit(float* q, float* k) const {
  const std::int64_t d = config_.linear_head_dim;
  scale(q, 1.0f / std::sqrt((kernels_.dot(q, q, d) + kL2Epsilon) * static_cast<float>(d)), d);
  scale(k, 1.0f / std::sqrt(kernels_.dot(k, k, d) + kL2Epsilon), d);
}

/// q (unit, over √d), k (unit) and v of V head `head`.
void LinearMixerPass::load_head(std::int64_t head, std::int64_t token, float* q, float* k, float* v) const {
  const Channels at = channels_of(head);
  const auto load = [&](std::int64_t channel, float* out) {
    convolve(channel, token, weights_.conv_taps.data() + channel, config_.conv_dim(), out);
  };
  load(at.q, q);
  load(at.k, k);
  load(at.v, v);
  to_unit(q, k);
}

/// The same of n tokens: qk [n, 2, d] and v [n, d]. Uses room [conv_kernel, d].
void LinearMixerPass::load_chunk(std::int64_t head, std::int64_t first, std::int64_t n, float* qk, float* v,
                                 float* room) const {
  const std::int64_t d = config_.linear_head_dim;
  const Channels at = channels_of(head);
  convolve_chunk(at.q, first, n, room, qk, 2 * d);
  convolve_chunk(at.k, first, n, room, qk + d, 2 * d);
  convolve_chunk(at.v, first, n, room, v, d);
  for (std::int64_t i = 0; i < n; ++i) to_unit(qk + 2 * i * d, qk + (2 * i + 1) * d);
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
  const Channels from = channels_of(head);
  float* row = conv_row(token);
  const auto keep = [&](std::int64_t channel) { std::copy_n(in_.qkv + at + channel, d, row + channel); };
  keep(from.v);
  const bool first_of_k_head = config_.v_head_order == VHeadOrder::kTiled
                                   ? head < config_.linear_k_heads
                                   : head == 0 || config_.k_head_of(head - 1) != config_.k_head_of(head);
  if (first_of_k_head) {
    keep(from.q);
    keep(from.k);
  }
}

/// One chunk of n tokens. With c the cumulative log decay, D_ij = e^(c_i − c_j) for j ≤ i, L_ij = β_i
/// (k_i·k_j) D_ij for j < i, and S the head's matrix as [k, v], transformers' torch_chunk_gated_delta_rule
/// has
///   (I + L) U = β v, (I + L) W = β e^c k, V' = U − W S, A_ij = (q_i·k_j) D_ij,
///   o_i = e^(c_i) q_i S + Σ_j A_ij V'_j, S ← e^(c_last) S + Σ_i e^(c_last − c_i) k_i V'_iᵀ.
/// Nobody else wants U and W, so V' is solved for at once: (I + L) V' = β (v − e^c k S), half the equations.
/// `state` is the transpose of S, as it is kept. Queries and keys stand in turn, so that each product that
/// both have is one.
void LinearMixerPass::chunk(std::int64_t head, std::int64_t first, std::int64_t n, float* state,
                            float* scratch) const {
  const std::int64_t d = config_.linear_head_dim;
  float* qk = scratch;                         // [n, 2, d]: q and k
  float* v = qk + 2 * kChunk * d;              // [n, d]: v, then V'
  float* read = v + kChunk * d;                // [n, 2, d]: q S and k S, then o and k S
  float* scores = read + 2 * kChunk * d;       // [n, 2, kChunk]: q·k and k·k, then A and −L
  float* beta = scores + 2 * kChunk * kChunk;  // [n]
  float* c = beta + kChunk;                    // [n]
  float* decays = c + kChunk;                  // [n]
  float* to_end = decays + kChunk;             // [d]: e^(c_last)
  float* room = to_end + d;                    // [conv_kernel, d]

  load_chunk(head, first, n, qk, v, room);
  float sum = 0.0f;
  for (std::int64_t i = 0; i < n; ++i) {
    const Gates gate = gates(head, first + i);
    beta[i] = gate.beta;
    c[i] = sum += gate.log_decay;
  }
  kernels_.matmul({.a = {qk, d},
                   .b = {qk + d, 1, 2 * d},
                   .c = scores,
                   .c_stride = kChunk,
                   .m = 2 * n,
                   .n = n,
                   .k = d,
                   .causal = Causal::kSums,
                   .group = 2});
  kernels_.matmul({.a = {qk, d}, .b = {state, 1, d}, .c = read, .c_stride = d, .m = 2 * n, .n = d, .k = d});
  for (std::int64_t i = 0; i < n; ++i) {
    decay_row(i, n, c, beta[i], decays, scores + 2 * i * kChunk);
    const float* predicted = read + (2 * i + 1) * d;
    const float to_start = std::exp(c[i]);
    for (std::int64_t l = 0; l < d; ++l) v[i * d + l] = beta[i] * (v[i * d + l] - to_start * predicted[l]);
  }
  kernels_.solve(scores + kChunk, 2 * kChunk, v, d, n, d);

  std::copy_n(c, n, decays);
  kernels_.exp_sum(decays, 1.0f, 0.0f, n);
  kernels_.matmul({.a = {scores, 2 * kChunk},
                   .b = {v, d},
                   .c = read,
                   .c_stride = 2 * d,
                   .m = n,
                   .n = d,
                   .k = n,
                   .keep = decays,
                   .causal = Causal::kTerms});
  for (std::int64_t i = 0; i < n; ++i) gated_norm(head, first + i, read + 2 * i * d);

  const float last = c[n - 1];
  for (std::int64_t i = 0; i < n; ++i) scale(v + i * d, std::exp(last - c[i]), d);
  std::fill(to_end, to_end + d, std::exp(last));
  kernels_.matmul({.a = {v, 1, d},
                   .b = {qk + d, 2 * d},
                   .c = state,
                   .c_stride = d,
                   .m = d,
                   .n = d,
                   .k = n,
                   .keep = to_end});
}

/// Token i's scores [2, kChunk]: q_i·k_j → A_ij, and k_i·k_j → −L_ij; A_ij = 0 for j > i. Uses decays
/// [kChunk].
void LinearMixerPass::decay_row(std::int64_t i, std::int64_t n, const float* c, float beta, float* decays,
                                float* scores) const {
  std::copy_n(c, i + 1, decays);
  kernels_.exp_sum(decays, -1.0f, -c[i], i + 1);  // e^(c_i − c_j)
  float* keys = scores + kChunk;
  for (std::int64_t j = 0; j <= i; ++j) {
    scores[j] *= decays[j];
    keys[j] *= -beta * decays[j];
  }
  std::fill(scores + i + 1, scores + n, 0.0f);
}

void LinearMixerPass::chunks(std::int64_t head, ThreadScratch& scratch) const {
  take_in_pending(head, scratch);
  float* state = delta_ + head * config_.linear_head_dim * config_.linear_head_dim;
  for (std::int64_t first = 0; first < tokens_; first += kChunk)
    chunk(head, first, std::min(kChunk, tokens_ - first), state, scratch.chunk.data());
}

void LinearMixerPass::keep_inputs(std::int64_t first, std::int64_t last) const {
  const std::int64_t taps = config_.conv_kernel;
  for (std::int64_t token = std::max<std::int64_t>(tokens_ - taps, 0); token < tokens_; ++token) {
    std::copy(in_.qkv + token * in_.stride + first, in_.qkv + token * in_.stride + last,
              conv_row(token) + first);
  }
}

}  // namespace lattice::cpu
