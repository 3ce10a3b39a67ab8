#!/usr/bin/env python3
"""Writes the seeds of the fuzzers, fuzz/corpus/<target>/: small valid inputs to begin from.

    tools/make_fuzz_seeds.py

Most are the tests' own files; what is too large there (a whole model, a whole vocabulary) is made small here. Needs gguf and
numpy.
"""
import json
import shutil
from pathlib import Path

import gguf
import numpy
from gguf import GGMLQuantizationType as Type

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "fuzz" / "corpus"
DATA = ROOT / "tests" / "data"
STORY = ROOT / "models" / "tinystories-qwen35"


def byte_alphabet():
    """GPT-2's printable characters for the 256 bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = [byte for byte in range(256) if byte not in printable]
    table = {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(other)}
    return [table[byte] for byte in range(256)]


def small_vocabulary():
    """Tokens, and merges as pairs of tokens."""
    merges = [("Ġ", "t"), ("h", "e"), ("Ġt", "he"), ("i", "n"), ("o", "n"), ("Ã", "©"), ("Ġ", "Ġ"), ("Ċ", "Ċ")]
    return byte_alphabet() + [left + right for left, right in merges], merges


def small_tokenizers():
    """tokenizer.json of the shipped model, with a small vocabulary: Qwen3.5's pattern and Qwen2's, old merges and new."""
    tokens, merges = small_vocabulary()
    for name, pair in (("qwen35", False), ("qwen2", True)):
        tokenizer = json.loads((STORY / "tokenizer.json").read_text())
        tokenizer["model"]["vocab"] = {token: i for i, token in enumerate(tokens)}
        tokenizer["model"]["merges"] = [list(merge) if pair else " ".join(merge) for merge in merges]
        for i, added in enumerate(tokenizer["added_tokens"]):
            added["id"] = len(tokens) + i
        if name == "qwen2":
            regex = tokenizer["pre_tokenizer"]["pretokenizers"][0]["pattern"]
            regex["Regex"] = regex["Regex"].replace(r"[\p{L}\p{M}]+", r"\p{L}+").replace(r"\p{L}\p{M}\p{N}", r"\p{L}\p{N}")
        yield name, tokenizer


def write_small_gguf(path, with_mtp=False):
    """A whole model: a linear and a full layer of width 32, every kind of matrix in another type, and a tokenizer; with_mtp:
    with a head that guesses ahead."""
    random = numpy.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "qwen35")
    for key, value in dict(block_count=3 if with_mtp else 2, context_length=64, embedding_length=32, feed_forward_length=32,
                           full_attention_interval=2).items():
        writer.add_uint32(f"qwen35.{key}", value)
    for key, value in {"attention.head_count": 1, "attention.head_count_kv": 1, "attention.key_length": 32,
                       "attention.value_length": 32, "rope.dimension_count": 8, "ssm.conv_kernel": 2, "ssm.state_size": 8,
                       "ssm.group_count": 2, "ssm.time_step_rank": 4, "ssm.inner_size": 32}.items():
        writer.add_uint32(f"qwen35.{key}", value)
    if with_mtp:
        writer.add_nextn_predict_layers(1)
    writer.add_float32("qwen35.attention.layer_norm_rms_epsilon", 1e-6)
    writer.add_float32("qwen35.rope.freq_base", 1e7)
    writer.add_array("qwen35.rope.dimension_sections", [2, 1, 1, 0])
    tokens, merges = small_vocabulary()
    specials = ["<|endoftext|>", "<|im_end|>", "<think>", "[PAD267]"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen35")
    writer.add_token_list(tokens + specials)
    writer.add_token_types([1] * len(tokens) + [3, 3, 4, 5])
    writer.add_token_merges([" ".join(merge) for merge in merges])
    writer.add_eos_token_id(len(tokens))
    writer.add_uint32("tokenizer.ggml.eot_token_id", len(tokens) + 1)
    writer.add_add_bos_token(False)
    writer.add_chat_template("{{ messages }}")

    kinds = [Type.Q4_0, Type.F16, Type.Q5_1, Type.Q8_0, Type.Q4_1, Type.Q5_0, Type.BF16]
    n_matrices = 0

    def matrix(name, rows, cols=32):
        nonlocal n_matrices
        values = (random.standard_normal((rows, cols)) / 6).astype(numpy.float32)
        kind = kinds[n_matrices % len(kinds)]
        n_matrices += 1
        writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)

    def vector(name, *shape, value=1.0):
        writer.add_tensor(name, numpy.full(shape, value, numpy.float32))

    matrix("token_embd.weight", len(tokens) + len(specials))
    for name, rows in {"attn_qkv": 64, "attn_gate": 32, "ssm_beta": 4, "ssm_alpha": 4, "ssm_out": 32}.items():
        matrix(f"blk.0.{name}.weight", rows)
    full_layers = (1, 2) if with_mtp else (1,)
    for layer in full_layers:
        for name, rows in {"attn_q": 64, "attn_k": 32, "attn_v": 32, "attn_output": 32}.items():
            matrix(f"blk.{layer}.{name}.weight", rows)
    if with_mtp:
        matrix("blk.2.nextn.eh_proj.weight", 32, 64)
        for name in ("enorm", "hnorm", "shared_head_norm"):
            vector(f"blk.2.nextn.{name}.weight", 32)
    vector("blk.0.ssm_conv1d.weight", 64, 2)
    vector("blk.0.ssm_a", 4, value=-0.5)
    vector("blk.0.ssm_dt.bias", 4)
    vector("blk.0.ssm_norm.weight", 8)
    for layer in full_layers:
        vector(f"blk.{layer}.attn_q_norm.weight", 32)
        vector(f"blk.{layer}.attn_k_norm.weight", 32)
    for layer in range(3 if with_mtp else 2):
        vector(f"blk.{layer}.attn_norm.weight", 32)
        vector(f"blk.{layer}.post_attention_norm.weight", 32)
        for name in ("ffn_gate", "ffn_up", "ffn_down"):
            matrix(f"blk.{layer}.{name}.weight", 32)
    vector("output_norm.weight", 32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def seed(target, name, contents):
    (CORPUS / target).mkdir(parents=True, exist_ok=True)
    (CORPUS / target / name).write_bytes(contents if isinstance(contents, bytes) else contents.encode())


def write_seeds():
    (CORPUS / "gguf").mkdir(parents=True)
    write_small_gguf(CORPUS / "gguf" / "model")
    write_small_gguf(CORPUS / "gguf" / "model_mtp", with_mtp=True)
    for path in (DATA / "formats").glob("*.gguf"):
        seed("gguf", path.stem, path.read_bytes())
    seed("gguf", "split", (DATA / "formats" / "split" / "model-00001-of-00003.gguf").read_bytes())
    for directory in ("hugging_face", "mlx"):
        seed("safetensors", directory, (DATA / "formats" / directory / "model.safetensors").read_bytes())
    for directory in ("formats", "model"):
        index = DATA / directory / "sharded" / "model.safetensors.index.json"
        seed("safetensors_index", directory, index.read_bytes())
    for path in sorted((DATA / "model").glob("*/config.json")):
        generation = path.parent / "generation_config.json"
        seed("config", path.parent.name,
             path.read_bytes() + (b"\0" + generation.read_bytes() if generation.exists() else b""))
    seed("config", "shipped", (STORY / "config.json").read_bytes() + b"\0" + (STORY / "generation_config.json").read_bytes())
    config = json.dumps({"eos_token": "<|im_end|>", "pad_token": {"content": "<|endoftext|>"}, "add_bos_token": False})
    for name, tokenizer in small_tokenizers():
        compact = json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":"))
        seed("tokenizer_json", name, compact)
        seed("tokenizer_json", name + "_config", compact + "\0" + config)
    for i, text in enumerate(["Once upon a time, there was a little girl named Lily.\n\nShe said, \"I'LL go!\"  ",
                              "<|im_start|>user\n12345<|im_end|>\n<think>\r\n\t  x = y[0];  // \u00e9 e\u0301",
                              "\u65e5\u672c\u8a9e \U0001f468\u200d\U0001f469\u200d\U0001f467 \u0627\u0644\u0639\u0631 "
                              "\u1112\u1161\u11ab \ufb01 \u2126"]):
        seed("text", f"text{i}", text)
    seed("text", "broken", b"a\xff\xc0\x80\xed\xa0\x80 \xf0\x9f\x98 <|im_end")
    end, field = "\x1e", "\x1f"
    seed("chat_template", "plain", end.join(["sBe kind.", "uHello", "aHi", "rhm", "uBye", "n"]))
    seed("chat_template", "tools", end.join([
        'f{"type":"function","function":{"name":"get","parameters":{"x":[1,2.5,true,null]}}}', "uWhat?", "a<think>\nso\n</think>\n",
        "cget" + field + '{"x": 1, "y": {"z": ["\u00e9", 1e3]}, "s": "t"}', "tfine", "tmore", "y", "g"]))
    seed("chat_template", "wrong", end.join(["alone", "olady", "slate", "u <tool_response>x</tool_response> "]))


if __name__ == "__main__":
    shutil.rmtree(CORPUS, ignore_errors=True)
    write_seeds()
    total = sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file())
    print(f"{total} bytes of seeds in {CORPUS}")
