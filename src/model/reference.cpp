#include "model/reference.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <numeric>

#include "support/fail.h"

// Read this beside huggingface/transformers src/transformers/models/qwen3_5/modeling_qwen3_5.py, whose
// functions are named at ours, and Gated Delta Networks (Yang, Kautz and Hatamizadeh, arXiv:2412.06464).
// Values are float32; whatever is summed is summed in float64.

namespace lattice {
namespace {

using Vector = std::vector<float>;

/// Σ a[i] · b[i]. The eight partial sums break the chain of dependent additions, and nothing more.
double dot(std::span<const float> a, std::span<const float> b) {
  double partial[8] = {};
  const std::size_t whole = a.size() / 8 * 8;
  for (std::size_t i = 0; i < whole; i += 8) {
    for (std::size_t j = 0; j < 8; ++j) partial[j] += static_cast<double>(a[i + j]) * b[i + j];
  }
  double sum = std::accumulate(std::begin(partial), std::end(partial), 0.0);
  for (std::size_t i = whole; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

/// out = W x, with W's rows dequantised one by one. (torch.nn.Linear without bias)
void matvec(const MatrixView& w, std::span<const float> x, std::span<float> out) {
  Vector row(static_cast<std::size_t>(w.cols));
  for (std::int64_t r = 0; r < w.rows; ++r) {
    dequantize_row(w, r, row);
    out[static_cast<std::size_t>(r)] = static_cast<float>(dot(row, x));
  }
}

Vector matvec(const MatrixView& w, std::span<const float> x) {
  Vector out(static_cast<std::size_t>(w.rows));
  matvec(w, x, out);
  return out;
}

double sigmoid(double x) {
  return 1.0 / (1.0 + std::exp(-x));
}
double silu(double x) {
  return x * sigmoid(x);
}
/// As torch has it: x itself above 20, where the difference is below float's precision.
double softplus(double x) {
  return x > 20.0 ? x : std::log1p(std::exp(x));
}

/// x / sqrt(mean(x²) + eps) · factor. The zero-centred norms' 1 + w is in `factor` already. (Qwen3_5RMSNorm)
void rms_norm(std::span<float> x, std::span<const float> factor, double eps) {
  const double scale = 1.0 / std::sqrt(dot(x, x) / static_cast<double>(x.size()) + eps);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(x[i] * scale * factor[i]);
}

Vector rms_norm_of(std::span<const float> x, std::span<const float> factor, double eps) {
  Vector out(x.begin(), x.end());
  rms_norm(out, factor, eps);
  return out;
}

/// x / sqrt(Σx² + 1e-6): the epsilon is added to the sum, not to the mean. (l2norm)
void l2_norm(std::span<float> x) {
  const double scale = 1.0 / std::sqrt(dot(x, x) + 1e-6);
  for (float& value : x) value = static_cast<float>(value * scale);
}

/// Head `h` of a vector of heads of `size`.
template <typename T>
std::span<T> head_of(std::vector<std::remove_const_t<T>>& heads, std::int64_t h, std::int64_t size) {
  return std::span<T>(heads).subspan(static_cast<std::size_t>(h * size), static_cast<std::size_t>(size));
}

/// Rotates the leading dimensions of a head, in pairs that stand half the rotated width apart. For text the
/// three rows of M-RoPE's positions are equal, so that its interleaved sections come to this. Angles are
/// float32 as in Qwen3_5TextRotaryEmbedding: at position 4096 their rounding already moves a cosine by 1e-4,
/// and the models were trained with it. (apply_rotary_pos_emb)
void rotate(std::span<float> head, std::int64_t position, std::int64_t rotary_dim, double theta) {
  const std::int64_t half = rotary_dim / 2;
  for (std::int64_t i = 0; i < half; ++i) {
    const double exponent = static_cast<double>(2 * i) / static_cast<double>(rotary_dim);
    const auto frequency = static_cast<float>(1.0 / std::pow(theta, exponent));
    const double angle = static_cast<float>(position) * frequency;
    float& a = head[static_cast<std::size_t>(i)];
    float& b = head[static_cast<std::size_t>(i + half)];
    const double rotated_a = a * std::cos(angle) - b * std::sin(angle);
    const double rotated_b = b * std::cos(angle) + a * std::sin(angle);
    a = static_cast<float>(rotated_a);
    b = static_cast<float>(rotated_b);
  }
}

/// What a full layer keeps: [tokens, kv_dim] of rotated keys and of values.
struct KvCache {
  Vector keys, values;
};

/// What a linear layer keeps.
struct Recurrence {
  Vector tail;    // [conv_kernel − 1, conv_dim]: the last inputs of the convolution, oldest first
  Vector matrix;  // [linear_v_heads, k, v], k and v of linear_head_dim: S of the paper, transposed
};

struct ReferenceState final : State {
  ReferenceState(const Config& config, std::int64_t capacity) : config_(config), capacity_(capacity) {
    kv.resize(config.layers.size());
    recurrent.resize(config.layers.size());
    clear();
  }

  [[nodiscard]] std::int64_t position() const noexcept override { return tokens; }
  [[nodiscard]] std::int64_t capacity() const noexcept override { return capacity_; }
  [[nodiscard]] std::unique_ptr<State> clone() const override {
    auto copy = std::make_unique<ReferenceState>(config_, capacity_);
    copy->tokens = tokens;
    copy->kv = kv;
    copy->recurrent = recurrent;
    copy->mtp_kv = mtp_kv;
    copy->output = output;
    return copy;
  }
  void reset() override { clear(); }

  [[nodiscard]] bool is_of(const Config& config) const noexcept { return &config == &config_; }

  std::int64_t tokens = 0;
  std::vector<KvCache> kv;            // of every layer, empty for the linear ones
  std::vector<Recurrence> recurrent;  // of every layer, empty for the full ones
  KvCache mtp_kv;                     // of the head that guesses ahead: of all tokens but the last
  Vector output;                      // the final norm's, of the last token

 private:
  void clear() {
    tokens = 0;
    mtp_kv = {};
    output.clear();
    for (std::size_t i = 0; i < config_.layers.size(); ++i) {
      if (config_.layers[i] == LayerKind::kFull) {
        const auto room = static_cast<std::size_t>(capacity_ * config_.kv_dim());
        kv[i].keys.clear();
        kv[i].keys.reserve(room);
        kv[i].values.clear();
        kv[i].values.reserve(room);
      } else {
        const std::int64_t head = config_.linear_head_dim * config_.linear_head_dim;
        recurrent[i].tail.assign(static_cast<std::size_t>((config_.conv_kernel - 1) * config_.conv_dim()),
                                 0.0f);
        recurrent[i].matrix.assign(static_cast<std::size_t>(config_.linear_v_heads * head), 0.0f);
      }
    }
  }

  const Config& config_;  // the backend's
  std::int64_t capacity_;
};

/// softmax(K q / sqrt(head_dim)) V over the tokens so far, of one query head. (eager_attention_forward)
void attend(std::span<const float> query, const KvCache& cache, std::int64_t kv_head, std::int64_t kv_dim,
            std::span<float> out) {
  const std::size_t size = query.size();
  const std::size_t n_tokens = cache.keys.size() / static_cast<std::size_t>(kv_dim);
  const auto row_of = [&](const Vector& rows, std::size_t token) {
    return std::span<const float>(rows).subspan(
        token * static_cast<std::size_t>(kv_dim) + static_cast<std::size_t>(kv_head) * size, size);
  };
  std::vector<double> weights(n_tokens);
  for (std::size_t t = 0; t < n_tokens; ++t) {
    weights[t] = dot(query, row_of(cache.keys, t)) / std::sqrt(static_cast<double>(size));
  }
  const double largest = *std::max_element(weights.begin(), weights.end());
  double total = 0;
  for (double& weight : weights) total += weight = std::exp(weight - largest);
  std::vector<double> sum(size);
  for (std::size_t t = 0; t < n_tokens; ++t) {
    const std::span<const float> value = row_of(cache.values, t);
    for (std::size_t i = 0; i < size; ++i) sum[i] += weights[t] * value[i];
  }
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<float>(sum[i] / total);
}

/// Puts a token's keys and values behind those of the tokens before.
void append_keys(const Config& config, const FullMixer& mixer, std::span<const float> x,
                 std::int64_t position, KvCache& cache) {
  Vector k = matvec(mixer.k, x);
  const Vector v = matvec(mixer.v, x);
  for (std::int64_t h = 0; h < config.kv_heads; ++h) {
    const std::span<float> key = head_of<float>(k, h, config.head_dim);
    rms_norm(key, mixer.k_norm, config.rms_norm_eps);
    rotate(key, position, config.rotary_dim, config.rope_theta);
  }
  cache.keys.insert(cache.keys.end(), k.begin(), k.end());
  cache.values.insert(cache.values.end(), v.begin(), v.end());
}

/// Gated full attention. (Qwen3_5Attention)
Vector full_attention(const Config& config, const FullMixer& mixer, std::span<const float> x,
                      std::int64_t position, KvCache& cache) {
  const std::int64_t size = config.head_dim;
  Vector q_and_gate = matvec(mixer.q, x);  // for each head: its query, then its gate
  append_keys(config, mixer, x, position, cache);

  Vector out(static_cast<std::size_t>(config.q_dim()));
  for (std::int64_t h = 0; h < config.attention_heads; ++h) {
    const std::span<float> query = head_of<float>(q_and_gate, 2 * h, size);
    const std::span<float> gate = head_of<float>(q_and_gate, 2 * h + 1, size);
    const std::span<float> result = head_of<float>(out, h, size);
    rms_norm(query, mixer.q_norm, config.rms_norm_eps);
    rotate(query, position, config.rotary_dim, config.rope_theta);
    attend(query, cache, h / (config.attention_heads / config.kv_heads), config.kv_dim(), result);
    for (std::size_t i = 0; i < result.size(); ++i)
      result[i] = static_cast<float>(result[i] * sigmoid(gate[i]));
  }
  return matvec(mixer.o, out);
}

/// silu(Σ_j conv[c, j] · input[t − (kernel − 1) + j, c]): a causal convolution of each channel by itself.
/// `tail` holds the inputs before this one and moves on by one. (causal_conv1d_update)
Vector causal_conv(const Config& config, std::span<const float> conv, std::span<const float> input,
                   Vector& tail) {
  const auto channels = static_cast<std::size_t>(config.conv_dim());
  const auto taps = static_cast<std::size_t>(config.conv_kernel);
  Vector window = tail;  // [kernel, channels]
  window.insert(window.end(), input.begin(), input.end());
  Vector out(channels);
  for (std::size_t c = 0; c < channels; ++c) {
    double sum = 0;
    for (std::size_t j = 0; j < taps; ++j)
      sum += static_cast<double>(conv[c * taps + j]) * window[j * channels + c];
    out[c] = static_cast<float>(silu(sum));
  }
  tail.assign(window.begin() + static_cast<std::ptrdiff_t>(channels), window.end());
  return out;
}

/// One step of one head's gated delta rule, the paper's equation 10 with S transposed: the state decays, what
/// it then predicts for k is corrected towards v by the share beta, and q reads the result.
/// (torch_recurrent_gated_delta_rule)
void delta_rule_step(std::span<float> state, std::span<const float> q, std::span<const float> k,
                     std::span<const float> v, double log_decay, double beta, std::span<float> out) {
  const std::size_t size = k.size();
  const double decay = std::exp(log_decay);
  std::vector<double> predicted(size);
  for (std::size_t i = 0; i < size; ++i) {
    for (std::size_t j = 0; j < size; ++j) {
      float& s = state[i * size + j];
      s = static_cast<float>(s * decay);
      predicted[j] += static_cast<double>(s) * k[i];
    }
  }
  std::vector<double> read(size);
  for (std::size_t i = 0; i < size; ++i) {
    for (std::size_t j = 0; j < size; ++j) {
      float& s = state[i * size + j];
      s = static_cast<float>(s + k[i] * beta * (v[j] - predicted[j]));
      read[j] += static_cast<double>(s) * q[i];
    }
  }
  for (std::size_t j = 0; j < size; ++j) out[j] = static_cast<float>(read[j]);
}

/// Gated DeltaNet. (Qwen3_5GatedDeltaNet)
Vector gated_delta_net(const Config& config, const LinearMixer& mixer, std::span<const float> x,
                       Recurrence& recurrence) {
  const std::int64_t size = config.linear_head_dim;
  Vector mixed = causal_conv(config, mixer.conv, matvec(mixer.qkv, x), recurrence.tail);
  Vector z = matvec(mixer.z, x);
  const Vector b = matvec(mixer.b, x);
  const Vector a = matvec(mixer.a, x);

  // q's heads, then k's, then v's; q and k on the unit sphere, q divided by sqrt(head_dim).
  const std::int64_t first_k = config.linear_k_heads;
  const std::int64_t first_v = 2 * config.linear_k_heads;
  for (std::int64_t h = 0; h < config.linear_k_heads; ++h) {
    const std::span<float> q = head_of<float>(mixed, h, size);
    l2_norm(q);
    for (float& value : q) value = static_cast<float>(value / std::sqrt(static_cast<double>(size)));
    l2_norm(head_of<float>(mixed, first_k + h, size));
  }

  Vector out(static_cast<std::size_t>(config.linear_v_dim()));
  for (std::int64_t h = 0; h < config.linear_v_heads; ++h) {
    const auto i = static_cast<std::size_t>(h);
    const std::int64_t k_head = config.k_head_of(h);
    const std::span<float> result = head_of<float>(out, h, size);
    delta_rule_step(head_of<float>(recurrence.matrix, h, size * size), head_of<float>(mixed, k_head, size),
                    head_of<float>(mixed, first_k + k_head, size), head_of<float>(mixed, first_v + h, size),
                    mixer.decay_rate[i] * softplus(static_cast<double>(a[i]) + mixer.dt_bias[i]),
                    sigmoid(b[i]), result);
    // Norm first, then the gate. (Qwen3_5RMSNormGated)
    rms_norm(result, mixer.norm, config.rms_norm_eps);
    const std::span<float> gate = head_of<float>(z, h, size);
    for (std::size_t j = 0; j < result.size(); ++j) result[j] = static_cast<float>(result[j] * silu(gate[j]));
  }
  return matvec(mixer.out, out);
}

/// SwiGLU. (Qwen3_5MLP)
Vector mlp(const Layer& layer, std::span<const float> x) {
  Vector inner = matvec(layer.gate, x);
  const Vector up = matvec(layer.up, x);
  for (std::size_t i = 0; i < inner.size(); ++i) inner[i] = static_cast<float>(silu(inner[i]) * up[i]);
  return matvec(layer.down, inner);
}

void add(std::span<float> h, std::span<const float> x) {
  for (std::size_t i = 0; i < h.size(); ++i) h[i] += x[i];
}

class ReferenceBackend final : public Backend {
 public:
  ReferenceBackend(const Config& config, const Weights& weights) : config_(config), weights_(weights) {}

  [[nodiscard]] std::string description() const override {
    return "reference (float32 with float64 sums, 1 thread)";
  }
  [[nodiscard]] const Config& config() const noexcept override { return config_; }

  [[nodiscard]] std::unique_ptr<State> new_state(std::int64_t capacity) const override {
    if (capacity < 1 || capacity > config_.max_position_embeddings) {
      fail_usage("a context of {} tokens was asked for; the model allows 1 to {}", capacity,
                 config_.max_position_embeddings);
    }
    try {
      return std::make_unique<ReferenceState>(config_, capacity);
    } catch (const std::bad_alloc&) {
      const std::int64_t bytes = capacity * config_.kv_bytes_per_token(sizeof(float)) + config_.state_bytes();
      fail_usage("a context of {} tokens takes {} MB, more than there is memory for", capacity,
                 bytes / 1'000'000);
    }
  }

  void forward(State& state, std::span<const std::int32_t> tokens, Logits which,
               std::span<float> out) override {
    auto* own = dynamic_cast<ReferenceState*>(&state);
    if (own == nullptr || !own->is_of(config_)) fail_usage("the state belongs to another backend");
    check(*own, tokens, which, out);
    const auto vocab = static_cast<std::size_t>(config_.vocab_size);
    for (std::size_t t = 0; t < tokens.size(); ++t) {
      const Vector& hidden = step(*own, tokens[t]);
      const bool last = t + 1 == tokens.size();
      if (which == Logits::kAll) matvec(weights_.head, hidden, out.subspan(t * vocab, vocab));
      if (which == Logits::kLast && last) matvec(weights_.head, hidden, out);
    }
  }

  [[nodiscard]] bool has_mtp() const noexcept override { return weights_.mtp.has_value(); }

  void draft(State& state, std::int32_t token, std::span<std::int32_t> guesses,
             std::span<float> logits) override {
    check_draft(*this, state, token, guesses, logits);
    auto& own = dynamic_cast<ReferenceState&>(state);
    const MtpHead& head = *weights_.mtp;
    const Layer& layer = head.layer;
    const KvCache before = own.mtp_kv;
    const auto vocab = static_cast<std::size_t>(config_.vocab_size);
    Vector output = own.output;
    for (std::size_t i = 0; i < guesses.size(); ++i) {
      Vector h = mtp_row(head, output, token);
      const auto position = own.tokens - 1 + static_cast<std::int64_t>(i);
      add(h, full_attention(config_, std::get<FullMixer>(layer.mixer),
                            rms_norm_of(h, layer.mixer_norm, config_.rms_norm_eps), position, own.mtp_kv));
      add(h, mlp(layer, rms_norm_of(h, layer.mlp_norm, config_.rms_norm_eps)));
      output = rms_norm_of(h, head.norm, config_.rms_norm_eps);
      const std::span<float> row = logits.subspan(i * vocab, vocab);
      matvec(weights_.head, output, row);
      token = static_cast<std::int32_t>(std::max_element(row.begin(), row.end()) - row.begin());
      guesses[i] = token;
    }
    own.mtp_kv = before;
  }

 private:
  void check(const ReferenceState& state, std::span<const std::int32_t> tokens, Logits which,
             std::span<float> out) const {
    if (tokens.empty()) fail_usage("no tokens were given to the model");
    if (static_cast<std::int64_t>(tokens.size()) > state.capacity() - state.position()) {
      fail_usage("{} tokens do not fit behind the {} in a context of {}", tokens.size(), state.position(),
                 state.capacity());
    }
    for (const std::int32_t token : tokens) {
      if (token < 0 || token >= config_.vocab_size) {
        fail_usage("token {} is outside the vocabulary of {}", token, config_.vocab_size);
      }
    }
    if (which == Logits::kNone) return;
    const std::size_t wanted =
        (which == Logits::kAll ? tokens.size() : 1) * static_cast<std::size_t>(config_.vocab_size);
    if (out.size() != wanted) fail_usage("room for {} logits was given, not {}", out.size(), wanted);
  }

  /// What enters the head's layer: of the output at a token, and the token that comes next.
  [[nodiscard]] Vector mtp_row(const MtpHead& head, std::span<const float> output, std::int32_t next) const {
    Vector both(static_cast<std::size_t>(config_.hidden_size));
    dequantize_row(weights_.embed, next, both);
    rms_norm(both, head.embed_norm, config_.rms_norm_eps);
    const Vector normed = rms_norm_of(output, head.hidden_norm, config_.rms_norm_eps);
    both.insert(both.end(), normed.begin(), normed.end());
    return matvec(head.fc, both);
  }

  /// Lets the head see what comes after the state's last token. Of the rows before the one that it guesses
  /// from, only keys and values are needed.
  void show_to_mtp(ReferenceState& state, std::int32_t next) const {
    const Layer& layer = weights_.mtp->layer;
    const Vector row = mtp_row(*weights_.mtp, state.output, next);
    append_keys(config_, std::get<FullMixer>(layer.mixer),
                rms_norm_of(row, layer.mixer_norm, config_.rms_norm_eps), state.tokens - 1, state.mtp_kv);
  }

  /// Takes one token in and returns the final norm's output. (Qwen3_5TextModel, Qwen3_5DecoderLayer)
  const Vector& step(ReferenceState& state, std::int32_t token) const {
    if (weights_.mtp && state.tokens > 0) show_to_mtp(state, token);
    Vector h(static_cast<std::size_t>(config_.hidden_size));
    dequantize_row(weights_.embed, token, h);
    for (std::size_t i = 0; i < weights_.layers.size(); ++i) {
      const Layer& layer = weights_.layers[i];
      const Vector x = rms_norm_of(h, layer.mixer_norm, config_.rms_norm_eps);
      if (const auto* linear = std::get_if<LinearMixer>(&layer.mixer)) {
        add(h, gated_delta_net(config_, *linear, x, state.recurrent[i]));
      } else {
        add(h, full_attention(config_, std::get<FullMixer>(layer.mixer), x, state.tokens, state.kv[i]));
      }
      add(h, mlp(layer, rms_norm_of(h, layer.mlp_norm, config_.rms_norm_eps)));
    }
    ++state.tokens;
    state.output = rms_norm_of(h, weights_.final_norm, config_.rms_norm_eps);
    return state.output;
  }

  Config config_;
  const Weights& weights_;
};

}  // namespace

std::unique_ptr<Backend> make_reference_backend(const Config& config, const Weights& weights) {
  return std::make_unique<ReferenceBackend>(config, weights);
}

}  // namespace lattice
