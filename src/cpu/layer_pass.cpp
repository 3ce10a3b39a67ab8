#include "cpu/layer_pass.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace lattice::cpu {
namespace {

constexpr auto kNothing = [](std::int64_t, std::int64_t, std::int64_t) {};

}  // namespace

LayerPass::LayerPass(const ForwardContext& context, const CpuState& state, std::int64_t position,
                     std::int64_t count)
    : context_(context),
      config_(context.config),
      work_(context.workspace),
      state_(state),
      position_(position),
      count_(count) {
  const std::int64_t pairs = config_.rotary_dim / 2;
  for (std::int64_t t = 0; t < count_; ++t) {
    float* angles = work_.angles.data() + t * config_.rotary_dim;
    for (std::int64_t i = 0; i < pairs; ++i) {
      const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(config_.rotary_dim);
      const double angle = static_cast<double>(position_ + t) * std::pow(config_.rope_theta, exponent);
      angles[i] = static_cast<float>(std::cos(angle));
      angles[pairs + i] = static_cast<float>(std::sin(angle));
    }
  }
}

void LayerPass::run(const CpuLayer& layer, const CpuState::LayerMemory& memory) {
  std::visit([&](const auto& mixer) { mix(layer, mixer, memory); }, layer.mixer);
  mlp(layer);
}

void LayerPass::normalise(const float* x, const std::vector<float>& weight, float* out) const {
  const auto size = static_cast<std::int64_t>(weight.size());
  const std::int64_t whole = size / 16 * 16;
  float squares = context_.kernels.dot(x, x, whole);
  for (std::int64_t i = whole; i < size; ++i) squares += x[i] * x[i];
  const float norm =
      1.0f / std::sqrt(squares / static_cast<float>(size) + static_cast<float>(config_.rms_norm_eps));
  for (std::int64_t i = 0; i < size; ++i) out[i] = x[i] * norm * weight[static_cast<std::size_t>(i)];
}

LayerPass::Forms LayerPass::forms_for(std::span<const Part> parts, std::int64_t tokens) const {
  if (context_.exact) return {};
  const auto any = [&](const auto& is) {
    return std::ranges::any_of(parts, [&](const Part& part) { return is(*part.matrix); });
  };
  const bool is_prompt = tokens > kStepTokens;
  const bool quantised = any([](const PackedMatrix& matrix) { return matrix.is_quantised(); });
  const bool has_bf16 =
      any([](const PackedMatrix& matrix) { return matrix.format() == PackedFormat::kBF16; });
  return {.quantised = quantised, .widened = is_prompt && quantised, .split = is_prompt && has_bf16};
}

/// Writes the input of a matrix product, normed, and in the forms that are needed, to out[index].
void LayerPass::prepare(const Input& input, std::int64_t token, PreparedVectors& out, std::int64_t index,
                        Forms forms) const {
  const float* x = input.x + token * input.cols;
  float* values = out.values(index, input.cols);
  if (input.norm == nullptr) {
    std::copy_n(x, input.cols, values);
  } else {
    normalise(x, *input.norm, values);
  }
  if (forms.quantised) out.quantise(index, input.cols);
  if (forms.widened) out.widen(index, input.cols);
  if (forms.split) out.split(index, input.cols);
}

/// What is shared out of a product: the groups of rows of all its parts, one part's after another's. A
/// thread's begin where its equal piece of their bytes does.
Share LayerPass::groups_of(std::span<const Part> parts, int thread) const {
  std::int64_t total = 0;
  for (const Part& part : parts) total += part.matrix->groups() * part.matrix->group_bytes();
  const Share bytes = share_of(total, thread, context_.pool.size());
  const auto first_group = [&](std::int64_t byte) {
    std::int64_t groups = 0;
    for (const Part& part : parts) {
      const std::int64_t whole = part.matrix->groups() * part.matrix->group_bytes();
      const std::int64_t inside = std::clamp<std::int64_t>(byte, 0, whole);
      groups += (inside + part.matrix->group_bytes() - 1) / part.matrix->group_bytes();
      byte -= whole;
    }
    return groups;
  };
  return {first_group(bytes.first), first_group(bytes.last)};
}

/// Calls unit(part, its groups) for what each part has of `groups`.
template <typename Unit>
void LayerPass::each_part(std::span<const Part> parts, Share groups, const Unit& unit) {
  for (const Part& part : parts) {
    const std::int64_t all = part.matrix->groups();
    const Share own = {std::clamp<std::int64_t>(groups.first, 0, all),
                       std::clamp<std::int64_t>(groups.last, 0, all)};
    if (own.first < own.last) unit(part, own);
    groups = {groups.first - all, groups.last - all};
  }
}

/// Multiplies `tokens` rows of the input with every part, rows shared out among the threads. After a thread
/// has rows [first, last) of a part for a token, it calls after(token, first, last).
template <typename After>
void LayerPass::project(std::span<const Part> parts, const Input& input, std::int64_t tokens,
                        const After& after) {
  const Forms forms = forms_for(parts, tokens);
  const std::int64_t grain = tokens <= kStepTokens ? 1 : kPromptGroups;
  const auto multiply = [&](int thread, const Activation* x) {
    Share groups;
    while (work_.shared.take(thread, grain, groups)) {
      each_part(parts, groups, [&](const Part& part, Share own) {
        const Product product = product_for(context_.kernels, part.matrix->format(), context_.exact);
        product(part.matrix->rows(), own.first, own.last, x, tokens, part.out, part.stride);
        const std::int64_t last = std::min(own.last * kGroupRows, part.matrix->rows().rows);
        for (std::int64_t t = 0; t < tokens; ++t) after(t, own.first * kGroupRows, last);
      });
    }
  };

  if (tokens == 1) {
    context_.pool.run([&](int thread) {
      const Share groups = groups_of(parts, thread);
      work_.shared.deal(thread, groups);
      // So that weights are on their way while the vector is made ready.
      each_part(parts, {groups.first, std::min(groups.first + 1, groups.last)},
                [](const Part& part, Share own) { part.matrix->ask_for(own.first); });
      PreparedVectors& own = work_.threads[static_cast<std::size_t>(thread)].input;
      prepare(input, 0, own, 0, forms);
      multiply(thread, own.data());
    });
    return;
  }
  const int threads = context_.pool.size();
  context_.pool.run([&](int thread) {
    const Share share = share_of(tokens, thread, threads);
    for (std::int64_t t = share.first; t < share.last; ++t) prepare(input, t, work_.prepared, t, forms);
  });
  context_.pool.run([&](int thread) {
    work_.shared.deal(thread, groups_of(parts, thread));
    multiply(thread, work_.prepared.data());
  });
}

void LayerPass::add_to_hidden(const PackedMatrix& matrix, const Input& input) {
  const Part part{&matrix, work_.projected.data(), work_.stride};
  project({&part, 1}, input, count_, [&](std::int64_t token, std::int64_t first, std::int64_t last) {
    const float* from = work_.projected.data() + token * work_.stride;
    float* to = work_.hidden.data() + token * config_.hidden_size;
    for (std::int64_t row = first; row < last; ++row) to[row] += from[row];
  });
}

void LayerPass::mix(const CpuLayer& layer, const CpuLinearMixer& mixer, const CpuState::LayerMemory& memory) {
  const std::int64_t stride = work_.stride;
  float* qkv = work_.projected.data();
  float* z = qkv + round_up(config_.conv_dim(), kGroupRows);
  float* b = z + round_up(config_.linear_v_dim(), kGroupRows);
  float* a = b + round_up(config_.linear_v_heads, kGroupRows);
  const std::array parts = {Part{&mixer.qkv, qkv, stride}, Part{&mixer.z, z, stride},
                            Part{&mixer.b, b, stride}, Part{&mixer.a, a, stride}};
  project(parts, {work_.hidden.data(), config_.hidden_size, &layer.mixer_norm}, count_, kNothing);

  const LinearMixerPass pass(config_, context_.kernels, mixer, state_, memory, {qkv, z, b, a, stride}, count_,
                             work_.mixed.data());
  share_out(config_.linear_v_heads, [&](std::int64_t head, ThreadScratch& scratch) {
    if (is_steps()) {
      pass.steps(head, scratch);
    } else {
      pass.chunks(head, scratch);
    }
  });
  if (!is_steps()) {
    const int threads = context_.pool.size();
    context_.pool.run([&](int thread) {
      const Share share = share_of(config_.conv_dim(), thread, threads);
      pass.keep_inputs(share.first, share.last);
    });
  }
  add_to_hidden(mixer.out, {work_.mixed.data(), config_.linear_v_dim()});
}

LayerPass::FullProjections LayerPass::full_projections() const {
  float* q = work_.projected.data();
  float* k = q + round_up(2 * config_.q_dim(), kGroupRows);
  return {q, k, k + round_up(config_.kv_dim(), kGroupRows)};
}

AttentionPass LayerPass::attention(const CpuFullMixer& mixer, const CpuState::LayerMemory& memory) const {
  const auto [q, k, v] = full_projections();
  return {config_,
          context_.kernels,
          mixer,
          memory,
          context_.kv,
          state_.capacity(),
          {q, k, v, work_.stride, work_.angles.data()},
          position_,
          count_,
          work_.mixed.data()};
}

void LayerPass::append(const AttentionPass& pass) {
  share_out(count_, [&](std::int64_t token, ThreadScratch& scratch) { pass.append(token, scratch); });
}

void LayerPass::mix(const CpuLayer& layer, const CpuFullMixer& mixer, const CpuState::LayerMemory& memory) {
  const auto [q, k, v] = full_projections();
  const std::int64_t stride = work_.stride;
  const std::array parts = {Part{&mixer.q, q, stride}, Part{&mixer.k, k, stride}, Part{&mixer.v, v, stride}};
  project(parts, {work_.hidden.data(), config_.hidden_size, &layer.mixer_norm}, count_, kNothing);

  const AttentionPass pass = attention(mixer, memory);
  if (count_ > 1) append(pass);
  if (is_steps()) {
    attend_steps(pass);
  } else {
    attend_batch(pass);
  }
  add_to_hidden(mixer.out, {work_.mixed.data(), config_.q_dim()});
}

void LayerPass::append_keys(const CpuLayer& layer, const CpuState::LayerMemory& memory) {
  const auto& mixer = std::get<CpuFullMixer>(layer.mixer);
  const auto [q, k, v] = full_projections();
  const std::array parts = {Part{&mixer.k, k, work_.stride}, Part{&mixer.v, v, work_.stride}};
  project(parts, {work_.hidden.data(), config_.hidden_size, &layer.mixer_norm}, count_, kNothing);
  append(attention(mixer, memory));
}

/// A part of the keys meets the queries of all tokens while it is in the cache: the parts of neighbouring
/// tokens begin and end within a few keys of each other.
void LayerPass::attend_steps(const AttentionPass& pass) {
  const std::int64_t parts = pass.parts(count_ - 1);  // later tokens see more keys
  share_out(config_.kv_heads * parts, [&](std::int64_t i, ThreadScratch& scratch) {
    for (std::int64_t token = 0; token < count_; ++token) {
      if (i % parts < pass.parts(token))
        pass.part(i / parts, token, i % parts, scratch, work_.partial.data());
    }
  });
  share_out(count_ * config_.attention_heads, [&](std::int64_t i, ThreadScratch& scratch) {
    pass.merge(i % config_.attention_heads, i / config_.attention_heads, scratch, work_.partial.data());
  });
}

/// Later blocks see more keys: taking the KV heads in turn for each block spreads them over the threads.
void LayerPass::attend_batch(const AttentionPass& pass) {
  const std::int64_t blocks = round_up(count_, kQueryBlock) / kQueryBlock;
  const int threads = context_.pool.size();
  context_.pool.run([&](int thread) {
    for (std::int64_t i = thread; i < blocks * config_.kv_heads; i += threads) {
      pass.block(i % config_.kv_heads, i / config_.kv_heads * kQueryBlock,
                 work_.threads[static_cast<std::size_t>(thread)]);
    }
  });
}

void LayerPass::mlp(const CpuLayer& layer) {
  const std::int64_t width = config_.intermediate_size;
  const std::int64_t stride = round_up(2 * width, kGroupRows);
  const Part part{&layer.gate_up, work_.gate_up.data(), stride};
  project({&part, 1}, {work_.hidden.data(), config_.hidden_size, &layer.mlp_norm}, count_,
          [&](std::int64_t token, std::int64_t first, std::int64_t last) {
            context_.kernels.swiglu_pairs(work_.gate_up.data() + token * stride + first,
                                          work_.activated.data() + token * width + first / 2,
                                          (last - first) / 2);
          });
  add_to_hidden(layer.down, {work_.activated.data(), width});
}

void LayerPass::multiply(const PackedMatrix& matrix, const Input& input, std::int64_t tokens, float* out,
                         std::int64_t stride) {
  const Part part{&matrix, out, stride};
  project({&part, 1}, input, tokens, kNothing);
}

}  // namespace lattice::cpu
