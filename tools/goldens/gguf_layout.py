"""Writes a checkpoint as llama.cpp's converter would (ggml-org/llama.cpp conversion/qwen.py), with many tensor types."""
import gguf
import numpy
import torch
from gguf import GGMLQuantizationType as Type

from goldens.gguf_names import MATRICES, NORMS, layer_and_name, row_order, tiled_order

TYPES = {"attn_qkv": Type.Q8_0, "attn_gate": Type.Q5_1, "ssm_beta": Type.F16, "ssm_alpha": Type.F32,
         "ssm_out": Type.Q4_1, "attn_q": Type.Q4_0, "attn_k": Type.BF16, "attn_v": Type.Q8_0,
         "attn_output": Type.Q5_0, "ffn_gate": Type.Q4_0, "ffn_up": Type.Q8_0, "ffn_down": Type.Q5_0,
         "nextn.eh_proj": Type.Q8_0}


def add_keys(writer, config):
    size = config["linear_key_head_dim"]
    heads = config.get("mtp_num_hidden_layers", 0)
    writer.add_block_count(config["num_hidden_layers"] + heads)
    if heads:
        writer.add_nextn_predict_layers(heads)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_rope_dimension_count(int(config["head_dim"] * config["rope_parameters"]["partial_rotary_factor"]))
    writer.add_rope_dimension_sections([11, 11, 10, 0])
    writer.add_ssm_conv_kernel(config["linear_conv_kernel_dim"])
    writer.add_ssm_state_size(size)
    writer.add_ssm_group_count(config["linear_num_key_heads"])
    writer.add_ssm_time_step_rank(config["linear_num_value_heads"])
    writer.add_ssm_inner_size(config["linear_num_value_heads"] * size)
    writer.add_array("qwen35.attention.recurrent_layers",
                     [kind == "linear_attention" for kind in config["layer_types"]] + [False] * heads)
    writer.add_eos_token_id(config["eos_token_id"])


def write(out, config, state):
    """Writes model.gguf, and returns the weights that it stands for, by Hugging Face's names."""
    writer = gguf.GGUFWriter(out / "model.gguf", "qwen35")
    add_keys(writer, config)
    back = {}

    def add(gguf_name, hf_name, values, kind, to_hf):
        stored = gguf.quants.quantize(values, kind)
        writer.add_tensor(gguf_name, stored, raw_dtype=kind)
        read = gguf.quants.dequantize(stored, kind).reshape(values.shape)
        back[hf_name] = torch.from_numpy(numpy.ascontiguousarray(to_hf(read)).astype(numpy.float32))

    for hf_name, tensor in state.items():
        values = tensor.numpy().astype(numpy.float32)
        if hf_name in ("model.embed_tokens.weight", "lm_head.weight"):
            name, kind = ("token_embd", Type.Q8_0) if "embed" in hf_name else ("output", Type.BF16)
            add(name + ".weight", hf_name, values, kind, lambda x: x)
        elif hf_name == "model.norm.weight":
            add("output_norm.weight", hf_name, values + 1, Type.F32, lambda x: x - 1)
        else:
            layer, name = layer_and_name(hf_name, config)
            block = f"blk.{layer}."
            order = row_order(name, config, values.shape[0])
            back_order = numpy.argsort(order)
            if name == "linear_attn.out_proj":
                columns = tiled_order(config, config["linear_value_head_dim"])
                inverse = numpy.argsort(columns)
                add(block + "ssm_out.weight", hf_name, values[:, columns], TYPES["ssm_out"], lambda x: x[:, inverse])
            elif name in MATRICES:
                gguf_name = MATRICES[name]
                add(f"{block}{gguf_name}.weight", hf_name, values[order], TYPES[gguf_name], lambda x: x[back_order])
            elif name in NORMS:
                add(f"{block}{NORMS[name]}.weight", hf_name, values + 1, Type.F32, lambda x: x - 1)
            elif name == "linear_attn.norm":
                add(block + "ssm_norm.weight", hf_name, values, Type.F32, lambda x: x)
            elif name == "linear_attn.conv1d":
                add(block + "ssm_conv1d.weight", hf_name, values[order, 0], Type.F32, lambda x: x[back_order, None])
            elif name == "linear_attn.A_log":
                add(block + "ssm_a", hf_name, -numpy.exp(values[order]), Type.F32, lambda x: numpy.log(-x[back_order]))
            elif name == "linear_attn.dt_bias":
                add(block + "ssm_dt.bias", hf_name, values[order], Type.F32, lambda x: x[back_order])
            else:
                raise ValueError(f"no place for {hf_name}")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return back
