"""Hugging Face tokenizers for each vocabulary that the tests use."""

import json
import lzma
import os
import pathlib

import tokenizers

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SHARED = pathlib.Path(os.environ.get("LATTICE_SHARED", ROOT.parent / "shared"))
QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN35 = QWEN2.replace(r"?\p{L}+", r"?[\p{L}\p{M}]+").replace(r"[^\s\p{L}\p{N}]", r"[^\s\p{L}\p{M}\p{N}]")
CONTROL, USER_DEFINED = 3, 4


def tokenizer_json_of_gguf(path):
    """The tokenizer.json that says what the metadata of a GGUF file say."""
    import gguf  # 0.19, from PyPI

    reader = gguf.GGUFReader(path)
    tokens = reader.get_field("tokenizer.ggml.tokens").contents()
    types = reader.get_field("tokenizer.ggml.token_type").contents()
    merges = reader.get_field("tokenizer.ggml.merges").contents()
    pattern = {"qwen2": QWEN2, "qwen35": QWEN35}[reader.get_field("tokenizer.ggml.pre").contents()]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    plain = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": i, "content": token, "special": types[i] == CONTROL, **plain}
            for i, token in enumerate(tokens)
            if types[i] in (CONTROL, USER_DEFINED)
        ],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: i for i, token in enumerate(tokens) if types[i] == 1},
            "merges": merges,
        },
    }


def vocabularies():
    """Name -> tokenizer.json as text: tinystories is always there, the others where SHARED has them."""
    found = {"tinystories": (ROOT / "models" / "tinystories-qwen35" / "tokenizer.json").read_text("utf-8")}
    qwen3 = SHARED / "tokenizers" / "qwen3" / "tokenizer.json.xz"
    if qwen3.exists():
        found["qwen3"] = lzma.decompress(qwen3.read_bytes()).decode("utf-8")
    qwen35 = SHARED / "tokenizers" / "qwen35" / "ggml-vocab-qwen35.gguf"
    if qwen35.exists():
        found["qwen35"] = json.dumps(tokenizer_json_of_gguf(qwen35), ensure_ascii=False)
    return found


class Reference:
    """Hugging Face's tokenizer, given bytes as Lattice is."""

    def __init__(self, tokenizer_json):
        self.tokenizer = tokenizers.Tokenizer.from_str(tokenizer_json)

    def encode(self, data):
        return self.tokenizer.encode(data.decode("utf-8", errors="replace"), add_special_tokens=False).ids

    def decode(self, ids, with_special=False):
        return self.tokenizer.decode(ids, skip_special_tokens=not with_special)

    def size(self):
        return self.tokenizer.get_vocab_size(with_added_tokens=True)
