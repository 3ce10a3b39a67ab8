#!/usr/bin/env python3
"""Measures Lattice's tokenizer beside Hugging Face's (Rust), both on one core, with every vocabulary there is.

    bench_tokenizers.py build/bench_tokenizer [--rounds 7]

The two take turns, and the fastest run of each counts, so that a busy machine disturbs both alike. Of Hugging
Face's ways to encode, the fastest is taken (with and without offsets, all at once and in pieces of two thousand
characters). Needs tokenizers and gguf from PyPI.
"""

import argparse
import json
import os
import pathlib
import random
import re
import subprocess
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

from tokenizer.reference import ROOT, Reference, vocabularies  # noqa: E402  (after the environment is set)


def texts(vocabulary_jsons):
    """English stories; C++ and Python sources; Chinese, as words of the largest vocabulary in random order; and the
    test corpus, with something of everything."""
    rng = random.Random(1)
    sources = sorted(ROOT.glob("src/**/*.cpp")) + sorted(ROOT.glob("tools/**/*.py"))
    sources = [path for path in sources if path.name != "unicode_ranges.cpp"]
    largest = max(vocabulary_jsons.values(), key=len)
    reference = Reference(largest)
    words = [reference.decode([i]) for i in range(0, reference.size())]
    words = [word for word in words if re.fullmatch("[\u4e00-\u9fff]+", word)] or ["你好", "世界", "中文", "的"]
    chinese = "".join(rng.choice(words) + rng.choice(("", "", "", "", "，", "。\n")) for _ in range(60000))
    corpus = json.loads((ROOT / "tests" / "data" / "text" / "corpus.json").read_text("utf-8"))
    mixed = b"\n".join(bytes.fromhex(case["bytes"]) for case in corpus["texts"])
    return {
        "stories": (ROOT / "models" / "tinystories-qwen35" / "heldout.txt").read_bytes(),
        "code": b"".join(path.read_bytes() for path in sources),
        "chinese": chinese.encode("utf-8"),
        "mixed": (mixed * (200000 // len(mixed) + 1)),
    }


def lattice_seconds(program, tokenizer, path, size):
    output = subprocess.run(
        [program, tokenizer, path, "--benchmark_filter=encode", "--benchmark_min_time=0.1", "--benchmark_format=json"],
        check=True,
        capture_output=True,
    ).stdout
    return size / json.loads(output)["benchmarks"][0]["bytes_per_second"]


def reference_seconds(encode, argument):
    start = time.perf_counter()
    encode(argument)
    return time.perf_counter() - start


def measure(program, tokenizer_json, name, all_texts, rounds):
    reference = Reference(tokenizer_json).tokenizer
    with tempfile.TemporaryDirectory() as directory:
        tokenizer = pathlib.Path(directory) / "tokenizer.json"
        tokenizer.write_text(tokenizer_json, "utf-8")
        for text_name, data in all_texts.items():
            path = pathlib.Path(directory) / text_name
            path.write_bytes(data)
            text = data.decode("utf-8", errors="replace")
            pieces = [text[i : i + 2000] for i in range(0, len(text), 2000)]
            ours, theirs = [], []
            for _ in range(rounds):
                ours.append(lattice_seconds(program, tokenizer, path, len(data)))
                theirs.append(reference_seconds(reference.encode, text))
                theirs.append(reference_seconds(reference.encode_batch_fast, [text]))
                theirs.append(reference_seconds(reference.encode_batch_fast, pieces))
            a, b = len(data) / min(ours) / 1e6, len(data) / min(theirs) / 1e6
            print(f"{name:12} {text_name:8} {len(data):8} {a:9.1f} {b:9.1f} {a / b:8.1f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    jsons = vocabularies()
    all_texts = texts(jsons)
    print(f"{'vocabulary':12} {'text':8} {'bytes':>8} {'lattice':>9} {'hf':>9} {'ratio':>8}   (MB/s)")
    for name, tokenizer_json in jsons.items():
        measure(arguments.program, tokenizer_json, name, all_texts, arguments.rounds)


if __name__ == "__main__":
    main()
