#include "cpu/forward_pass.h"

namespace lattice::cpu {

void ForwardPass::layers() {
  const auto d = static_cast<std::size_t>(context_.config.hidden_size);
  const std::span<float> hidden(context_.workspace.hidden);
  for (std::size_t t = 0; t < tokens_.size(); ++t) {
    context_.weights.embedding().unpack_row(tokens_[t], hidden.subspan(t * d, d));
  }
  for (std::size_t i = 0; i < context_.weights.layers.size(); ++i) {
    pass_.run(context_.weights.layers[i], state_.layer(i));
  }
}

void ForwardPass::head(std::int64_t first, std::int64_t count, float* out) {
  const std::int64_t d = context_.config.hidden_size;
  const float* rows = context_.workspace.hidden.data() + first * d;
  pass_.multiply(context_.weights.head, {rows, d, &context_.weights.final_norm}, count, out,
                 context_.config.vocab_size);
}

}  // namespace lattice::cpu
