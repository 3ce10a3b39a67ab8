#include "cpu/mtp_pass.h"

#include <algorithm>
#include <vector>

namespace lattice::cpu {

/// Row `row` of workspace.pairs: the embedding of `next` and the decoder's output before it, each normed.
void MtpPass::make_pair(const LayerPass& pass, const float* output, std::int32_t next, std::int64_t row) {
  const std::int64_t d = context_.config.hidden_size;
  float* embedded = work_.pairs.data() + row * 2 * d;
  context_.weights.embedding().unpack_row(next, {embedded, static_cast<std::size_t>(d)});
  pass.normalise(embedded, head_.embed_norm, embedded);
  pass.normalise(output, head_.hidden_norm, embedded + d);
}

/// The pairs of the pass's rows, through fc.
void MtpPass::join_pairs(LayerPass& pass) {
  const std::int64_t d = context_.config.hidden_size;
  pass.multiply(head_.fc, {work_.pairs.data(), 2 * d}, pass.count(), work_.hidden.data(), d);
}

void MtpPass::take_in(std::span<const std::int32_t> tokens) {
  const std::int64_t d = context_.config.hidden_size;
  const std::int64_t position = state_.position();
  const auto count = static_cast<std::int64_t>(tokens.size());
  // The first token of all comes after no output.
  const std::int64_t first = position == 0 ? 1 : 0;
  LayerPass pass(context_, state_, position - 1 + first, count - first);

  // Outputs from that of the token before the batch on; each but the last meets the token behind it.
  float* outputs = work_.outputs.data();
  if (first == 0) std::copy_n(state_.output(position - 1), d, outputs);
  pass.share_out(count + 1, [&](std::int64_t i, ThreadScratch&) {
    float* output = outputs + i * d;
    if (i > 0) pass.normalise(work_.hidden.data() + (i - 1) * d, context_.weights.final_norm, output);
    if (i >= first && i < count) make_pair(pass, output, tokens[static_cast<std::size_t>(i)], i - first);
  });
  for (std::int64_t i = std::max<std::int64_t>(count - kStepTokens, 0); i < count; ++i) {
    std::copy_n(outputs + (i + 1) * d, d, state_.output(position + i));
  }
  if (pass.count() == 0) return;
  join_pairs(pass);
  pass.append_keys(head_.layer, state_.mtp());
}

/// The first of the largest. Any, if there is a NaN: the pass that checks the guess says so.
std::int32_t MtpPass::likeliest(const float* logits, std::int64_t vocab) const {
  const float* end = logits + vocab;
  const float* at = std::find(logits, end, context_.kernels.largest(logits, vocab));
  return at == end ? 0 : static_cast<std::int32_t>(at - logits);
}

void MtpPass::draft(std::int32_t token, std::span<std::int32_t> guesses, std::span<float> logits) {
  const std::int64_t d = context_.config.hidden_size;
  const std::int64_t vocab = context_.config.vocab_size;
  float* output = work_.outputs.data();
  std::copy_n(state_.output(state_.position() - 1), d, output);
  for (std::size_t i = 0; i < guesses.size(); ++i) {
    LayerPass pass(context_, state_, state_.position() - 1 + static_cast<std::int64_t>(i), 1);
    make_pair(pass, output, token, 0);
    join_pairs(pass);
    pass.run(head_.layer, state_.mtp());
    float* row = logits.data() + static_cast<std::int64_t>(i) * vocab;
    pass.multiply(context_.weights.head, {work_.hidden.data(), d, &head_.norm}, 1, row, vocab);
    token = likeliest(row, vocab);
    guesses[i] = token;
    // The head's own output takes the place of the decoder's, which has not come so far.
    pass.normalise(work_.hidden.data(), head_.norm, output);
  }
}

}  // namespace lattice::cpu
