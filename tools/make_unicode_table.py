#!/usr/bin/env python3
"""Makes src/text/unicode_ranges.cpp: what Hugging Face's tokenizers take each character for.

A tokenizer's regular expressions and its NFC follow the Unicode versions of the libraries that Hugging Face's
tokenizers is built from (Oniguruma for the classes, an older one for NFC). Our ids are to be the same on every
machine, so the classes are asked of that package, character by character, and written down; what utf8proc of some
version says about characters that are new to it does not matter.

Needs tokenizers (0.23.3) from PyPI. Deterministic for one version of it.
"""

import pathlib

import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers

TARGET = pathlib.Path(__file__).resolve().parent.parent / "src" / "text" / "unicode_ranges.cpp"
CHARACTERS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
LETTER, MARK, NUMBER, SPACE = 1, 2, 3, 4
ALTERED, BASE = 8, 16

nfc = normalizers.NFC().normalize_str
nfd = normalizers.NFD().normalize_str


def classes():
    """Code point -> class, where it has one of the four."""
    found = {}
    for pattern, value in ((r"\p{L}", LETTER), (r"\p{M}", MARK), (r"\p{N}", NUMBER), (r"\s", SPACE)):
        remove = pre_tokenizers.Split(Regex(pattern), "removed")
        for c in CHARACTERS:
            if not remove.pre_tokenize_str(chr(c)):
                assert c not in found, hex(c)
                found[c] = value
    return found


def has_combining_class(character):
    """Canonical reordering moves it across a mark of class 1 (U+0334) or across one of class 240 (U+0345)."""
    return nfc(character + "\u0334") == "\u0334" + character or nfc("\u0345" + character) == character + "\u0345"


def normalization():
    """Code point -> bits: ALTERED where NFC may change it or what stands around it, BASE where one that is not
    ALTERED may change with a following ALTERED one: be composed with it or, being composed already, take it in
    between (U+00C0 U+0325 becomes U+1E00 U+0300)."""
    altered, base = set(), set()
    for c in CHARACTERS:
        character = chr(c)
        if nfc(character) != character or has_combining_class(character):
            altered.add(c)
        decomposed = nfd(character)
        if len(decomposed) > 1 and nfc(character) == character:  # a composite that NFC makes
            first = nfc(decomposed[:-1])
            assert nfc(first + decomposed[-1]) == character and len(first) == 1, hex(c)
            altered.add(ord(decomposed[-1]))
            base.update((ord(first), c))
    bits = dict.fromkeys(altered, ALTERED)
    bits.update(dict.fromkeys(base - altered, BASE))
    return bits


def main():
    by_class, by_normalization = classes(), normalization()
    rows, previous = [], None
    for c in range(0x110000):
        properties = by_class.get(c, 0) | by_normalization.get(c, 0)
        if properties != previous:
            rows.append(f"{{0x{c:x}, {properties}}},")
            previous = properties
    TARGET.write_text(
        "// Made by tools/make_unicode_table.py from what Hugging Face tokenizers "
        f"{tokenizers.__version__} does.\n"
        '#include "text/unicode_ranges.h"\n\nnamespace lattice {\n\n// clang-format off\n'
        "constexpr UnicodeRange kRanges[] = {\n"
        + "".join("  " + " ".join(rows[i : i + 6]) + "\n" for i in range(0, len(rows), 6))
        + "};\n// clang-format on\n\n"
        "std::span<const UnicodeRange> unicode_ranges() noexcept {\n  return kRanges;\n}\n\n}  // namespace lattice\n"
    )
    print(f"{len(rows)} ranges")


if __name__ == "__main__":
    main()
