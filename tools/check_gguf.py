#!/usr/bin/env python3
"""Checks a GGUF file that Lattice wrote with another reader: gguf-py, of llama.cpp.

    tools/check_gguf.py OUT.gguf MODEL     # MODEL: the Hugging Face directory that it was made from

Reads both, works out from MODEL what llama.cpp's converter would have put into each tensor, and compares names, shapes and
bytes: F32, F16, BF16, Q8_0 and Q4_0 exactly as gguf-py itself quantises them. (ssm_a, the exponential of A_log, within one
unit in the last place.) Also looks for the keys that llama.cpp's loader requires. Needs gguf and numpy.
"""
import argparse
import json
import struct
import sys
from pathlib import Path

import gguf
import numpy

from goldens.gguf_names import MATRICES, NORMS, layer_and_name, row_order, tiled_order

REQUIRED = ["general.architecture", "general.name", "general.file_type", "general.quantization_version"] + [
    "qwen35." + key for key in (
        "block_count", "context_length", "embedding_length", "feed_forward_length", "attention.head_count",
        "attention.head_count_kv", "attention.key_length", "attention.value_length", "attention.layer_norm_rms_epsilon",
        "rope.freq_base", "rope.dimension_count", "rope.dimension_sections", "ssm.conv_kernel", "ssm.state_size",
        "ssm.group_count", "ssm.time_step_rank", "ssm.inner_size")] + ["tokenizer.ggml.model"]


def read_safetensors(path):
    """Tensors by name, as float32."""
    data = path.read_bytes()
    size, = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    out = {}
    for name, entry in header.items():
        begin, end = (8 + size + offset for offset in entry["data_offsets"])
        if entry["dtype"] == "BF16":
            values = (numpy.frombuffer(data[begin:end], "<u2").astype(numpy.uint32) << 16).view(numpy.float32)
        else:
            values = numpy.frombuffer(data[begin:end], {"F32": "<f4", "F16": "<f2"}[entry["dtype"]])
        out[name] = values.astype(numpy.float32).reshape(entry["shape"])
    return out


def expected_tensors(model):
    """GGUF's names and the values that belong under them, in float32."""
    config = json.loads((model / "config.json").read_text())
    config = config.get("text_config", config)
    state = {}
    for path in sorted(model.glob("*.safetensors")):
        state.update(read_safetensors(path))
    out = {}
    for name, values in state.items():
        name = name.replace("model.language_model.", "model.", 1)
        if name.startswith("model.visual.") or (name.startswith("mtp.") and not config.get("mtp_num_hidden_layers")):
            continue
        if name in ("model.embed_tokens.weight", "lm_head.weight"):
            out["token_embd.weight" if "embed" in name else "output.weight"] = values
            continue
        if name == "model.norm.weight":
            out["output_norm.weight"] = values + 1
            continue
        layer, name = layer_and_name(name, config)
        block = f"blk.{layer}."
        values = values[row_order(name, config, values.shape[0])]
        if name == "linear_attn.out_proj":
            values = values[:, tiled_order(config, config["linear_value_head_dim"])]
        if name in MATRICES:
            out[f"{block}{MATRICES[name]}.weight"] = values
        elif name in NORMS:
            out[f"{block}{NORMS[name]}.weight"] = values + 1
        elif name == "linear_attn.norm":
            out[block + "ssm_norm.weight"] = values
        elif name == "linear_attn.conv1d":
            out[block + "ssm_conv1d.weight"] = values[:, 0]
        elif name == "linear_attn.A_log":
            out[block + "ssm_a"] = -numpy.exp(values.astype(numpy.float64)).astype(numpy.float32)
        elif name == "linear_attn.dt_bias":
            out[block + "ssm_dt.bias"] = values
        else:
            raise ValueError(f"no place for {name}")
    return out


def differences(reader, expected):
    """What is wrong with the tensors, a sentence each."""
    found = {tensor.name: tensor for tensor in reader.tensors}
    for name in sorted(found.keys() ^ expected.keys()):
        yield f"{name}: {'missing' if name in expected else 'not expected'}"
    for name in sorted(found.keys() & expected.keys()):
        tensor, values = found[name], expected[name]
        shape = tuple(int(size) for size in reversed(tensor.shape))
        if shape != values.shape:
            yield f"{name}: shape {shape}, not {values.shape}"
            continue
        stored = gguf.quants.quantize(values, tensor.tensor_type)
        if name.endswith("ssm_a"):
            good = bool(numpy.all(numpy.abs(tensor.data - values) <= numpy.spacing(numpy.abs(values))))
        else:
            good = stored.tobytes() == tensor.data.tobytes()
        if not good:
            read = gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(values.shape)
            back = gguf.quants.dequantize(stored, tensor.tensor_type).reshape(values.shape)
            yield f"{name} ({tensor.tensor_type.name}): differs by up to {numpy.abs(read - back).max()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("model", type=Path)
    arguments = parser.parse_args()
    reader = gguf.GGUFReader(arguments.file)
    problems = [f"key {key} is missing" for key in REQUIRED if reader.get_field(key) is None]
    problems += differences(reader, expected_tensors(arguments.model))
    for problem in problems:
        print(f"{arguments.file}: {problem}")
    types = {}
    for tensor in reader.tensors:
        types[tensor.tensor_type.name] = types.get(tensor.tensor_type.name, 0) + 1
    counts = ", ".join(f"{count} {name}" for name, count in sorted(types.items()))
    print(f"{arguments.file}: {len(reader.tensors)} tensors ({counts}), {len(reader.fields)} fields, "
          f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
