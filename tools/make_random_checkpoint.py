#!/usr/bin/env python3
"""Writes a Qwen3.5 checkpoint with random weights, in the Hugging Face layout: for timing real shapes without real weights.

    tools/make_random_checkpoint.py OUT --preset 0.8b
    tools/make_random_checkpoint.py OUT --preset 9b --set num_hidden_layers=8 --tokenizer DIR
    tools/make_random_checkpoint.py OUT --preset 0.8b --set vocab_size=8192 --dtype f32 --seed 7

Needs nothing but Python. Matrices have elements of random sign and mantissa, of about 1/sqrt(columns) in size, so that
activations stay as they are in a trained model. Above 4 GB the tensors go into shards with an index.
"""
import argparse
import json
import math
import random
import shutil
import struct
from pathlib import Path

SHARD_BYTES = 4_000_000_000
CHUNK_BYTES = 1 << 20

# The scale fields of the released models' config.json.
PRESETS = {
    "0.8b": dict(hidden_size=1024, intermediate_size=3584, num_hidden_layers=24, num_attention_heads=8,
                 num_key_value_heads=2, linear_num_key_heads=16, linear_num_value_heads=16, tie_word_embeddings=True),
    "2b": dict(hidden_size=2048, intermediate_size=6144, num_hidden_layers=24, num_attention_heads=8,
               num_key_value_heads=2, linear_num_key_heads=16, linear_num_value_heads=16, tie_word_embeddings=True),
    "4b": dict(hidden_size=2560, intermediate_size=9216, num_hidden_layers=32, num_attention_heads=16,
               num_key_value_heads=4, linear_num_key_heads=16, linear_num_value_heads=32, tie_word_embeddings=True),
    "9b": dict(hidden_size=4096, intermediate_size=12288, num_hidden_layers=32, num_attention_heads=16,
               num_key_value_heads=4, linear_num_key_heads=16, linear_num_value_heads=32, tie_word_embeddings=False),
    "27b": dict(hidden_size=5120, intermediate_size=17408, num_hidden_layers=64, num_attention_heads=24,
                num_key_value_heads=4, linear_num_key_heads=16, linear_num_value_heads=48, tie_word_embeddings=False),
}
COMMON = dict(
    architectures=["Qwen3_5ForCausalLM"], model_type="qwen3_5_text", attention_bias=False, attn_output_gate=True,
    head_dim=256, hidden_act="silu", linear_conv_kernel_dim=4, linear_key_head_dim=128, linear_value_head_dim=128,
    full_attention_interval=4, max_position_embeddings=262144, rms_norm_eps=1e-6, vocab_size=248320,
    eos_token_id=248044,
    rope_parameters=dict(rope_type="default", rope_theta=1e7, partial_rotary_factor=0.25, mrope_interleaved=True,
                         mrope_section=[11, 11, 10]))
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "vocab.json", "merges.txt",
                   "generation_config.json")

# Bytes of an element, the bits of sign and mantissa, and where the exponent stands and what its bias is.
DTYPES = {"bf16": ("BF16", 2, 0x807F, 7, 127), "f16": ("F16", 2, 0x83FF, 10, 15),
          "f32": ("F32", 4, 0x807FFFFF, 23, 127)}


def build_config(preset, overrides, dtype):
    config = {**COMMON, **PRESETS[preset], "dtype": {"bf16": "bfloat16", "f16": "float16", "f32": "float32"}[dtype]}
    for override in overrides:
        name, _, value = override.partition("=")
        if name not in config:
            raise SystemExit(f"--set {override}: there is no field {name}; fields are {', '.join(sorted(config))}")
        try:
            config[name] = json.loads(value)
        except ValueError:
            raise SystemExit(f"--set {override}: {value} is not a JSON value") from None
    if config["eos_token_id"] >= config["vocab_size"]:
        config["eos_token_id"] = config["vocab_size"] - 1
    interval = config["full_attention_interval"]
    config["layer_types"] = ["linear_attention" if (i + 1) % interval else "full_attention"
                             for i in range(config["num_hidden_layers"])]
    return config


def tensor_list(config):
    """Names, shapes and kinds of values of every tensor, in file order."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    head = config["head_dim"]
    q_dim, kv_dim = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    linear_head, v_heads = config["linear_key_head_dim"], config["linear_num_value_heads"]
    v_dim = v_heads * config["linear_value_head_dim"]
    channels = 2 * config["linear_num_key_heads"] * linear_head + v_dim
    yield "model.embed_tokens.weight", (config["vocab_size"], hidden), "matrix"
    for i, kind in enumerate(config["layer_types"]):
        layer = f"model.layers.{i}."
        yield layer + "input_layernorm.weight", (hidden,), "norm"
        if kind == "linear_attention":
            mixer = layer + "linear_attn."
            yield mixer + "in_proj_qkv.weight", (channels, hidden), "matrix"
            yield mixer + "in_proj_z.weight", (v_dim, hidden), "matrix"
            yield mixer + "in_proj_b.weight", (v_heads, hidden), "matrix"
            yield mixer + "in_proj_a.weight", (v_heads, hidden), "matrix"
            yield mixer + "conv1d.weight", (channels, 1, config["linear_conv_kernel_dim"]), "conv"
            yield mixer + "A_log", (v_heads,), "decay"
            yield mixer + "dt_bias", (v_heads,), "dt_bias"
            yield mixer + "norm.weight", (linear_head,), "gated_norm"
            yield mixer + "out_proj.weight", (hidden, v_dim), "matrix"
        else:
            mixer = layer + "self_attn."
            yield mixer + "q_proj.weight", (2 * q_dim, hidden), "matrix"
            yield mixer + "k_proj.weight", (kv_dim, hidden), "matrix"
            yield mixer + "v_proj.weight", (kv_dim, hidden), "matrix"
            yield mixer + "o_proj.weight", (hidden, q_dim), "matrix"
            yield mixer + "q_norm.weight", (head,), "norm"
            yield mixer + "k_norm.weight", (head,), "norm"
        yield layer + "post_attention_layernorm.weight", (hidden,), "norm"
        yield layer + "mlp.gate_proj.weight", (inner, hidden), "matrix"
        yield layer + "mlp.up_proj.weight", (inner, hidden), "matrix"
        yield layer + "mlp.down_proj.weight", (hidden, inner), "matrix"
    yield "model.norm.weight", (hidden,), "norm"
    if not config["tie_word_embeddings"]:
        yield "lm_head.weight", (config["vocab_size"], hidden), "matrix"


# Small tensors are written as F32, whatever the matrices are. The decay's time constants are those of
# Qwen3_5GatedDeltaNet's initialisation.
SMALL_VALUES = {
    "norm": lambda rng: rng.gauss(0, 0.1),
    "gated_norm": lambda rng: 1 + rng.gauss(0, 0.1),
    "conv": lambda rng: rng.uniform(-0.5, 0.5),
    "decay": lambda rng: math.log(rng.uniform(0.01, 16)),
    "dt_bias": lambda rng: rng.uniform(-5, 1),
}


def matrix_chunks(rng, shape, dtype):
    """The bytes of a matrix: random bits, but for an exponent that makes the elements 1/sqrt(columns) large."""
    _, size, keep, shift, bias = DTYPES[dtype]
    # Magnitudes are uniform in [2^e, 2^(e+1)), whose root mean square is 2^e · sqrt(7/3).
    exponent = round(math.log2(1 / math.sqrt(shape[1] * 7 / 3))) + bias
    total = shape[0] * shape[1] * size
    for start in range(0, total, CHUNK_BYTES):
        length = min(CHUNK_BYTES, total - start)
        count = length // size
        mask = int.from_bytes(keep.to_bytes(size, "little") * count, "little")
        exponents = int.from_bytes((exponent << shift).to_bytes(size, "little") * count, "little")
        bits = int.from_bytes(rng.randbytes(length), "little")
        yield ((bits & mask) | exponents).to_bytes(length, "little")


def tensor_chunks(rng, shape, kind, dtype):
    if kind == "matrix":
        yield from matrix_chunks(rng, shape, dtype)
    else:
        count = math.prod(shape)
        yield struct.pack(f"<{count}f", *(SMALL_VALUES[kind](rng) for _ in range(count)))


def write_shard(path, tensors, dtype, rng):
    header, offset = {}, 0
    for name, shape, kind in tensors:
        size = tensor_bytes(shape, kind, dtype)
        header[name] = {"dtype": DTYPES[dtype][0] if kind == "matrix" else "F32", "shape": list(shape),
                        "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, shape, kind in tensors:
            for chunk in tensor_chunks(rng, shape, kind, dtype):
                file.write(chunk)
    return offset


def tensor_bytes(shape, kind, dtype):
    return math.prod(shape) * (DTYPES[dtype][1] if kind == "matrix" else 4)


def split_into_shards(tensors, dtype):
    shards, used = [[]], 0
    for tensor in tensors:
        size = tensor_bytes(tensor[1], tensor[2], dtype)
        if shards[-1] and used + size > SHARD_BYTES:
            shards.append([])
            used = 0
        shards[-1].append(tensor)
        used += size
    return shards


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the directory to write; it must not exist")
    parser.add_argument("--preset", choices=PRESETS, default="0.8b")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="override a field of config.json")
    parser.add_argument("--dtype", choices=DTYPES, default="bf16", help="of the matrices")
    parser.add_argument("--tokenizer", type=Path, metavar="DIR", help="copy the tokenizer's files from here")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    config = build_config(args.preset, args.set, args.dtype)
    args.out.mkdir(parents=True)
    (args.out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    for name in TOKENIZER_FILES if args.tokenizer else ():
        if (args.tokenizer / name).exists():
            shutil.copy(args.tokenizer / name, args.out / name)

    rng = random.Random(args.seed)
    shards = split_into_shards(list(tensor_list(config)), args.dtype)
    if len(shards) == 1:
        total = write_shard(args.out / "model.safetensors", shards[0], args.dtype, rng)
    else:
        weight_map, total = {}, 0
        for i, tensors in enumerate(shards, start=1):
            name = f"model-{i:05}-of-{len(shards):05}.safetensors"
            total += write_shard(args.out / name, tensors, args.dtype, rng)
            weight_map.update({tensor[0]: name for tensor in tensors})
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        (args.out / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")
    print(f"{args.out}: {total / 1e9:.2f} GB in {len(shards)} file{'s' if len(shards) > 1 else ''}")


if __name__ == "__main__":
    main()
