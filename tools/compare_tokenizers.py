#!/usr/bin/env python3
"""Holds Lattice's tokenizer against Hugging Face's on random texts and random ids.

    compare_tokenizers.py build/tokenize_lines [--texts 40000] [--seed 1]

Texts mix every kind of character that the pre-tokenizer or NFC tells apart, pieces of real text, added tokens and
bytes that are not UTF-8; most are short, some long. Needs tokenizers and gguf from PyPI. Exits with 1 on any
difference, of which it prints the first few.
"""

import argparse
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import unicodedata

from tokenizer.reference import ROOT, Reference, vocabularies

PIECES = (
    "'s 's' 'S 't 're 'RE 'rE 've 'll 'LL 'lL 'd 'm 'M '\u017f '\u212a 'l 'r 'ﬆ ' \r \n \r\n \n\n \t \x0b \x0c \x85 \u00a0 \u2028 \u2029 "
    "\u3000 \u200b \ufeff \u1680 e\u0301 a\u030a \u0344 \u0958 \u2126 \u212b \uac00 \u1100\u1161 \u1100\u1161\u11a8 "
    "\u0f73 \u0f71\u0f74 \ufb1d \u09c7\u09be \u1025\u102e \U000110ba \U0001d15e \U0002f800 >\u0338 \u0338 \u0345\u0334 "
    "\U00011938 \U000105d2\u0307 \u1e9b\u0323 \U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f \U0001f1e9\U0001f1ea "
    "\u00c0\u0325 \u00fb\u0323 \u1ea4\u0323 \u0325\u0325 ß İ ı ﬀ Ａ １ ² ½ Ⅷ ٣ ३ 𝟘 中文 日本語 한국어 привет γειά שלום مرحبا नमस्ते สวัสดี ខ្មែរ ქართული "
    "\x00 \x01 \x1b \x7f \ue000 \U000f0000 \u0378 \U000e0001 \ufffd \uffff \U0010ffff \u0897 \U000323b0 \u1c89 "
    "for(int i=0;i<n;++i){ return x->y; } #include <a.h> def f(self): \t\tx == 1.5e-3 // comment https://a.b/c?d=e&f "
    "Once upon a time there was don't we'll THEY'RE I'm 12345 3.14159 __init__ camelCase snake_case"
).split(" ")
SEPARATORS = ("", "", "", " ", " ", "  ", "\n", "\r\n", "\t", "   \n  ")
ADDED = ("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<think>", "</think>", "<|im_", "<think", "<|im_start|>>", "[PAD151700]")


def random_character(rng):
    kind = rng.randrange(8)
    if kind < 2:
        return chr(rng.randrange(0x20, 0x7F))
    if kind == 2:
        return chr(rng.randrange(0x80, 0x800))
    if kind == 3:
        return chr(rng.choice((0x300, 0x5B0, 0x610, 0x900, 0xE31, 0x1AB0, 0x1DC0, 0x20D0, 0x3099, 0xFE20)) + rng.randrange(16))
    if kind == 4:
        return chr(rng.choice((0x1100, 0x1161, 0x11A7, 0xAC00, 0xD788)) + rng.randrange(28))
    if kind == 5:
        return rng.choice(" \t\n\r\u00a0\u2003\u3000'")
    while True:
        c = rng.randrange(0x110000 if kind == 6 else 0x20000)
        if not 0xD800 <= c < 0xE000:
            return chr(c)


MARKS = [chr(c) for c in range(0x20000) if unicodedata.combining(chr(c))]


def accented(rng):
    """A letter, often composed, under marks in any order."""
    letter = chr(rng.choice((rng.randrange(0xC0, 0x250), rng.randrange(0x1E00, 0x2000), rng.randrange(0x41, 0x7B))))
    common = [chr(c) for c in (0x300, 0x301, 0x302, 0x303, 0x304, 0x308, 0x323, 0x325, 0x327, 0x328, 0x331, 0x338, 0x345)]
    return letter + "".join(rng.choice(rng.choice((common, MARKS))) for _ in range(rng.randrange(1, 5)))


def random_text(rng, real):
    parts = []
    for _ in range(1 + int(rng.expovariate(1 / 5)) if rng.random() < 0.97 else rng.randrange(300)):
        kind = rng.randrange(13)
        if kind < 5:
            parts.append("".join(random_character(rng) for _ in range(1 + int(rng.expovariate(0.4)))))
        elif kind < 9:
            parts.append(rng.choice(PIECES))
        elif kind == 9:
            at = rng.randrange(len(real))
            parts.append(real[at : at + rng.randrange(60)])
        elif kind == 10:
            parts.append(rng.choice(ADDED))
        elif kind == 11:
            parts.append(accented(rng))
        else:
            parts.append(random_character(rng) * rng.randrange(40))
        parts.append(rng.choice(SEPARATORS))
    data = bytearray("".join(parts).encode("utf-8"))
    if rng.random() < 0.2:
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(data) + 1)
            if rng.random() < 0.5:
                data[at : at + rng.randrange(3)] = b""
            else:
                data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 4)))
    return bytes(data)


def every_character():
    """Texts in which each character stands alone, after an apostrophe, between letters, after a space, between
    spaces, and before and after marks."""
    for c in range(0x110000):
        if not 0xD800 <= c < 0xE000:
            x = chr(c)
            yield f"{x} '{x} a{x}b {x}.  {x}  {x}\u0301\u0323{x}1\u0325e{x}\u0331'{x}{x}\n".encode("utf-8")


def run(program, mode, path, lines):
    result = subprocess.run([program, mode, path], input="\n".join(lines) + "\n", capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{program}: {result.stderr}")
    return result.stdout.split("\n")[:-1]


def report(what, cases):
    """Prints the first differences of (input, ours, theirs); returns how many there are."""
    wrong = [case for case in cases if case[1] != case[2]]
    for given, ours, theirs in wrong[:5]:
        print(f"  {what}: {given!r}"[:500])
        same = len(os.path.commonprefix([ours, theirs]))
        for name, result in (("lattice", ours), ("hugging face", theirs)):
            print(f"    {name:12} differs from [{same}]: {result[same : same + 12]!r}")
    return len(wrong)


def compare(program, name, tokenizer_json, texts, rng):
    reference = Reference(tokenizer_json)
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "tokenizer.json"
        path.write_text(tokenizer_json, "utf-8")
        lines = run(program, "encode", path, [text.hex() for text in texts])
        theirs = [reference.encode(text) for text in texts]
        ours = [[int(i) for i in line.split()] for line in lines]
        wrong = report("encode", list(zip(texts, ours, theirs, strict=True)))
        size = reference.size()
        some_ids = [ids[rng.randrange(len(ids) + 1) :] for ids in theirs[::4]]
        some_ids += [[rng.randrange(size) for _ in range(rng.randrange(12))] for _ in range(len(texts) // 4)]
        lines = run(program, "decode", path, [" ".join(map(str, ids)) for ids in some_ids])
        decoded = [reference.decode(ids).encode("utf-8").hex() for ids in some_ids]
        wrong += report("decode", list(zip(some_ids, lines, decoded, strict=True)))
    print(f"{name}: {len(texts)} texts, {len(some_ids)} lists of ids, {wrong} differences", flush=True)
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--texts", type=int, default=40000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--characters", action="store_true", help="every character of Unicode instead of random texts")
    arguments = parser.parse_args()
    real = (ROOT / "models" / "tinystories-qwen35" / "heldout.txt").read_text("utf-8")
    wrong = 0
    for name, tokenizer_json in vocabularies().items():
        rng = random.Random(f"{arguments.seed} {name}")
        if arguments.characters:
            texts = list(every_character())
        else:
            texts = [random_text(rng, real) for _ in range(arguments.texts)]
        wrong += compare(arguments.program, name, tokenizer_json, texts, rng)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
