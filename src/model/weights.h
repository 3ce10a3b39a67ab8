#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "model/config.h"
#include "quant/matrix_view.h"

namespace lattice {

/// A Gated DeltaNet mixer. D = hidden_size, C = conv_dim(), Vd = linear_v_dim(), Hv = linear_v_heads.
struct LinearMixer {
  MatrixView qkv;                 // [C, D]: q, then k, then v
  MatrixView z;                   // [Vd, D]
  MatrixView b;                   // [Hv, D]
  MatrixView a;                   // [Hv, D]
  MatrixView out;                 // [D, Vd]
  std::vector<float> conv;        // [C, conv_kernel], the last column meets the current token
  std::vector<float> decay_rate;  // [Hv]: −exp(A_log), so that log decay = decay_rate · softplus(a + dt_bias)
  std::vector<float> dt_bias;     // [Hv]
  std::vector<float> norm;        // [linear_head_dim], plain weight, shared by all V heads
};

/// A gated full-attention mixer.
struct FullMixer {
  MatrixView q;               // [2 · q_dim, D]: for each head its query rows, then its gate rows
  MatrixView k;               // [kv_dim, D]
  MatrixView v;               // [kv_dim, D]
  MatrixView o;               // [D, q_dim]
  std::vector<float> q_norm;  // [head_dim], 1 + w
  std::vector<float> k_norm;  // [head_dim], 1 + w
};

struct Layer {
  std::vector<float> mixer_norm;  // [D], 1 + w (input_layernorm)
  std::variant<LinearMixer, FullMixer> mixer;
  std::vector<float> mlp_norm;  // [D], 1 + w (post_attention_layernorm)
  MatrixView gate;              // [I, D]
  MatrixView up;                // [I, D]
  MatrixView down;              // [D, I]
};

/// The head that guesses ahead (multi-token prediction; DeepSeek-V3, arXiv:2412.19437, section 2.2). From the
/// decoder's output at token t, after the final norm, and the embedding of token t + 1 it makes a row,
/// fc · [norm(embedding), norm(output)]; runs it through a layer of its own, whose keys and values are those
/// of the rows before; and its norm and the decoder's output matrix give the logits of token t + 2.
struct MtpHead {
  MatrixView fc;                   // [D, 2 · D], the embedding's columns first
  std::vector<float> embed_norm;   // [D], 1 + w (pre_fc_norm_embedding)
  std::vector<float> hidden_norm;  // [D], 1 + w (pre_fc_norm_hidden)
  Layer layer;                     // of full attention
  std::vector<float> norm;         // [D], 1 + w
};

/// The decoder's weights in one canonical form, whatever file they came from: matrices as stored, small
/// tensors in float with the zero-centred norms' +1 already applied. Matrices point into the checkpoint,
/// which must outlive them.
struct Weights {
  MatrixView embed;  // [vocab, D]
  std::vector<Layer> layers;
  std::vector<float> final_norm;       // [D], 1 + w
  MatrixView head;                     // [vocab, D]; the same bytes as `embed` when tied
  std::optional<MtpHead> mtp;          // where the checkpoint has one
  std::vector<const Tensor*> sources;  // the checkpoint's tensors that all this is made of, in its order
  bool mapped = false;                 // matrices lie in mapped files, and not in memory that was filled

  /// How far `bind` looks into the values. Small tensors (norms, decay, bias, convolution) are always
  /// checked.
  enum class ValueCheck : std::uint8_t {
    kSmall,    ///< no further: for looking at a checkpoint without reading it all
    kDecoder,  ///< also that no matrix of the decoder holds a NaN or an infinity: its scales, or its elements
               ///< where they are floats
    kAll,      ///< also those of `mtp`
  };

  /// Finds, checks (shape and type) and converts every tensor that `config` asks for. Throws Error naming the
  /// file and the tensor that is missing, has the wrong shape or type, or holds what is no number. Vision
  /// tensors are ignored. A checkpoint has either all tensors of an MTP head or none.
  [[nodiscard]] static Weights bind(const Checkpoint& checkpoint, const Config& config,
                                    ValueCheck check = ValueCheck::kAll);

  /// Bytes of weights that decoding one token reads: the layers, the final norm and the head. The one row of
  /// `embed` is not counted.
  [[nodiscard]] std::int64_t bytes_per_token() const;
  /// Numbers that the decoder is made of, the embedding included; a tied head is not counted twice.
  [[nodiscard]] std::int64_t parameters() const;
};

}  // namespace lattice
