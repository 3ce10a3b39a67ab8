"""GGUF's names for the matrices and norms of a layer and of the head that guesses ahead (MTP), and its order of V heads
(ggml-org/llama.cpp conversion/qwen.py)."""
import numpy

MATRICES = {"linear_attn.in_proj_qkv": "attn_qkv", "linear_attn.in_proj_z": "attn_gate",
            "linear_attn.in_proj_b": "ssm_beta", "linear_attn.in_proj_a": "ssm_alpha",
            "linear_attn.out_proj": "ssm_out", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
            "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate",
            "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "fc": "nextn.eh_proj"}
NORMS = {"input_layernorm": "attn_norm", "post_attention_layernorm": "post_attention_norm",
         "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
         "pre_fc_norm_embedding": "nextn.enorm", "pre_fc_norm_hidden": "nextn.hnorm", "norm": "nextn.shared_head_norm"}


def layer_and_name(name, config):
    """The layer that a tensor of a layer or of the head belongs to in GGUF, where the head is one behind the decoder's, and its
    name there without `.weight`."""
    name = name.removesuffix(".weight")
    if not name.startswith("mtp."):
        layer, name = name.removeprefix("model.layers.").split(".", 1)
        return int(layer), name
    name = name.removeprefix("mtp.").removeprefix("layers.0.")
    return config["num_hidden_layers"], name


def tiled_order(config, unit):
    """Where each unit of the tiled V heads (V head j of every K head, then the next j) stands in Hugging Face's order."""
    k_heads, v_heads = config["linear_num_key_heads"], config["linear_num_value_heads"]
    ratio = v_heads // k_heads
    heads = [k * ratio + j for j in range(ratio) for k in range(k_heads)]
    return numpy.concatenate([numpy.arange(head * unit, (head + 1) * unit) for head in heads])


def row_order(name, config, rows):
    """The order of rows that the file has, of a tensor whose rows are or include V heads."""
    size = config["linear_value_head_dim"]
    if name in ("linear_attn.in_proj_qkv", "linear_attn.conv1d"):
        first = 2 * config["linear_num_key_heads"] * config["linear_key_head_dim"]
        return numpy.concatenate([numpy.arange(first), first + tiled_order(config, size)])
    if name == "linear_attn.in_proj_z":
        return tiled_order(config, size)
    if name in ("linear_attn.in_proj_b", "linear_attn.in_proj_a", "linear_attn.A_log", "linear_attn.dt_bias"):
        return tiled_order(config, 1)
    return numpy.arange(rows)
