#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "model/golden.h"
#include "quant/blocks.h"

namespace lattice::canonical {

/// A tensor's values, whatever its file stores: V heads in the order of GGUF files.
struct Values {
  std::int64_t rows = 1;
  std::int64_t cols = 0;
  std::vector<float> data;
  bool operator==(const Values&) const = default;
};
using Model = std::map<std::string, Values>;

/// Puts `parts` of `unit` elements each, of which the last `v_heads` are V heads, from the order of `config`
/// into tiled order. Written apart from the converter's own, as the sentence of the format says it: V head j
/// of K head k stands at j · Hk + k, where Hugging Face has it at k · r + j.
inline std::vector<float> tile(const std::vector<float>& in, const Config& config, std::int64_t unit) {
  std::vector<float> out = in;
  if (config.v_head_order == VHeadOrder::kTiled) return out;
  const std::int64_t k_heads = config.linear_k_heads;
  const std::int64_t ratio = config.linear_v_heads / k_heads;
  const std::int64_t first = static_cast<std::int64_t>(in.size()) - config.linear_v_heads * unit;
  for (std::int64_t k = 0; k < k_heads; ++k) {
    for (std::int64_t j = 0; j < ratio; ++j) {
      for (std::int64_t u = 0; u < unit; ++u) {
        out[static_cast<std::size_t>(first + (j * k_heads + k) * unit + u)] =
            in[static_cast<std::size_t>(first + (k * ratio + j) * unit + u)];
      }
    }
  }
  return out;
}

inline Values of(const MatrixView& matrix) {
  Values out{matrix.rows, matrix.cols,
             std::vector<float>(static_cast<std::size_t>(matrix.rows * matrix.cols))};
  for (std::int64_t row = 0; row < matrix.rows; ++row) {
    dequantize_row(matrix, row,
                   std::span(out.data).subspan(static_cast<std::size_t>(row * matrix.cols),
                                               static_cast<std::size_t>(matrix.cols)));
  }
  return out;
}

inline Values of(const std::vector<float>& values) {
  return {1, static_cast<std::int64_t>(values.size()), values};
}

inline Values tiled_rows(const MatrixView& matrix, const Config& config, std::int64_t rows_a_head) {
  Values out = of(matrix);
  out.data = tile(out.data, config, rows_a_head * matrix.cols);
  return out;
}

inline Values tiled_columns(const MatrixView& matrix, const Config& config) {
  Values out = of(matrix);
  for (std::int64_t row = 0; row < matrix.rows; ++row) {
    const auto begin = out.data.begin() + row * matrix.cols;
    const std::vector<float> tiled = tile({begin, begin + matrix.cols}, config, config.linear_head_dim);
    std::copy(tiled.begin(), tiled.end(), begin);
  }
  return out;
}

inline void add_layer(Model& out, const std::string& at, const Layer& layer, const Config& config) {
  out[at + "mixer_norm"] = of(layer.mixer_norm);
  out[at + "mlp_norm"] = of(layer.mlp_norm);
  out[at + "gate"] = of(layer.gate);
  out[at + "up"] = of(layer.up);
  out[at + "down"] = of(layer.down);
  if (const auto* m = std::get_if<LinearMixer>(&layer.mixer)) {
    out[at + "qkv"] = tiled_rows(m->qkv, config, config.linear_head_dim);
    out[at + "z"] = tiled_rows(m->z, config, config.linear_head_dim);
    out[at + "b"] = tiled_rows(m->b, config, 1);
    out[at + "a"] = tiled_rows(m->a, config, 1);
    out[at + "out"] = tiled_columns(m->out, config);
    out[at + "conv"] = of(tile(m->conv, config, config.linear_head_dim * config.conv_kernel));
    out[at + "decay_rate"] = of(tile(m->decay_rate, config, 1));
    out[at + "dt_bias"] = of(tile(m->dt_bias, config, 1));
    out[at + "norm"] = of(m->norm);
  } else {
    const auto& f = std::get<FullMixer>(layer.mixer);
    out[at + "q"] = of(f.q);
    out[at + "k"] = of(f.k);
    out[at + "v"] = of(f.v);
    out[at + "o"] = of(f.o);
    out[at + "q_norm"] = of(f.q_norm);
    out[at + "k_norm"] = of(f.k_norm);
  }
}

inline Model of(const golden::LoadedModel& model) {
  Model out;
  out["embed"] = of(model.weights.embed);
  out["head"] = of(model.weights.head);
  out["final_norm"] = of(model.weights.final_norm);
  for (std::size_t i = 0; i < model.weights.layers.size(); ++i) {
    add_layer(out, std::to_string(i) + ".", model.weights.layers[i], model.config);
  }
  if (const std::optional<MtpHead>& head = model.weights.mtp) {
    out["mtp.fc"] = of(head->fc);
    out["mtp.embed_norm"] = of(head->embed_norm);
    out["mtp.hidden_norm"] = of(head->hidden_norm);
    out["mtp.norm"] = of(head->norm);
    add_layer(out, "mtp.layer.", head->layer, model.config);
  }
  return out;
}

/// Whether `name` is a matrix, and so of the type that the user chose.
inline bool is_matrix(const std::string& name, const Values& values) {
  return values.rows > 1 && !name.ends_with(".conv");
}

/// What is left of `values` when every row is stored in `type`; rows that are not made of whole blocks are
/// stored in F16.
inline Values stored_as(const Values& values, DType type) {
  if (values.cols % block_elements(type) != 0) type = DType::kF16;
  Values out = values;
  std::vector<std::byte> blocks(
      static_cast<std::size_t>(values.cols / block_elements(type) * block_bytes(type)));
  for (std::int64_t row = 0; row < values.rows; ++row) {
    const auto span = std::span(out.data).subspan(static_cast<std::size_t>(row * values.cols),
                                                  static_cast<std::size_t>(values.cols));
    quantize_blocks(type, span, blocks.data());
    dequantize_blocks(type, blocks.data(), span);
  }
  return out;
}

}  // namespace lattice::canonical
