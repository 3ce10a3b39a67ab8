#!/usr/bin/env python3
"""What decoding on Apple silicon should come to, from a model of five constants: the tables of docs/apple-silicon.md.

    tools/predict_apple.py           # prints them
    tools/predict_apple.py --fix     # writes them into the document

Nobody has measured any of this on a Mac. A token's bytes and dispatches are counted; the chips' bandwidths are Apple's; the two
constants that say how near a GPU comes to them are others' reports, and the first things that a report from a Mac replaces.
"""
import argparse
import re
import sys
from pathlib import Path
from typing import Dict, List, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs/apple-silicon.md"
BEGIN, END = "<!-- predict_apple.py: begin -->", "<!-- predict_apple.py: end -->"

# Of the bandwidth on the data sheet, what kernels that only read come to.
ATTAINABLE = 0.85
# Seconds from one dispatch to the next that waits for it.
DISPATCH = 5e-6
# Tokens of context, with keys and values in f16.
CONTEXT = 1000
# Of the memory, what weights may take.
SHARE_OF_MEMORY = 0.75
# Keys from which on they are shared out among threadgroups, and a merge follows: gpu/decode_step.cpp, KeySharing.
SHARED_FROM = 129

VOCABULARY = 248320
HEAD_DIM = 256
LINEAR_HEAD_DIM = 128
LINEAR_K_HEADS = 16
CONV_TAPS = 4
FULL_ATTENTION_INTERVAL = 4


class Shape(NamedTuple):
    """As src/bench/shapes.cpp has it."""
    name: str
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    v_heads: int

    @property
    def full(self) -> int:
        return self.layers // FULL_ATTENTION_INTERVAL

    @property
    def linear(self) -> int:
        return self.layers - self.full

    @property
    def parameters(self) -> int:
        """Of the matrices that a token is multiplied with."""
        v_dim = self.v_heads * LINEAR_HEAD_DIM
        conv_dim = 2 * LINEAR_K_HEADS * LINEAR_HEAD_DIM + v_dim
        linear = self.hidden * (conv_dim + v_dim + 2 * self.v_heads) + v_dim * self.hidden
        q_dim, kv_dim = self.heads * HEAD_DIM, self.kv_heads * HEAD_DIM
        full = self.hidden * (2 * q_dim + 2 * kv_dim) + q_dim * self.hidden
        return self.linear * linear + self.full * full + self.layers * 3 * self.hidden * self.intermediate + VOCABULARY * self.hidden

    @property
    def state_bytes(self) -> int:
        """Of recurrent state, in float: read once and written once a token."""
        conv_dim = (2 * LINEAR_K_HEADS + self.v_heads) * LINEAR_HEAD_DIM
        return self.linear * 4 * (self.v_heads * LINEAR_HEAD_DIM ** 2 + (CONV_TAPS - 1) * conv_dim)

    def weight_bytes(self, bits: float) -> float:
        return self.parameters * bits / 8

    def token_bytes(self, bits: float, context: int = CONTEXT) -> float:
        kv = self.full * 2 * self.kv_heads * HEAD_DIM * 2
        return self.weight_bytes(bits) + 2 * self.state_bytes + (context + 1) * kv

    def dispatches(self, context: int = CONTEXT) -> int:
        """Five a layer, the merge of shared keys, embedding, head, and two that draw the token."""
        return 5 * self.layers + (self.full if context >= SHARED_FROM else 0) + 4


SHAPES = (Shape("0.8B", 1024, 3584, 24, 8, 2, 16), Shape("2B", 2048, 6144, 24, 8, 2, 16), Shape("4B", 2560, 9216, 32, 16, 4, 32),
          Shape("9B", 4096, 12288, 32, 16, 4, 32), Shape("27B", 5120, 17408, 64, 24, 4, 48))
FORMATS: Dict[str, float] = {"Q4_0": 4.5, "Q8_0": 8.5, "BF16": 16.0}


class Chip(NamedTuple):
    name: str
    cores: str  # of the GPU
    bandwidth: float  # bytes a second
    memory: int  # bytes, the most that it was sold with


GB = 10 ** 9
# Apple's technical specifications and press releases up to November 2026. Apple rounds the base chips of M2 and M3 to 100 GB/s; M1's is
# that of its memory, LPDDR4X-4266 on 128 bits. The smaller M5 Max has less bandwidth than the larger one; how much was not found in a source.
CHIPS = (Chip("M1", "7, 8", 68 * GB, 16 * GB), Chip("M1 Pro", "14, 16", 200 * GB, 32 * GB), Chip("M1 Max", "24, 32", 400 * GB, 64 * GB),
         Chip("M1 Ultra", "48, 64", 800 * GB, 128 * GB), Chip("M2", "8, 10", 100 * GB, 24 * GB), Chip("M2 Pro", "16, 19", 200 * GB, 32 * GB),
         Chip("M2 Max", "30, 38", 400 * GB, 96 * GB), Chip("M2 Ultra", "60, 76", 800 * GB, 192 * GB), Chip("M3", "8, 10", 100 * GB, 24 * GB),
         Chip("M3 Pro", "14, 18", 150 * GB, 36 * GB), Chip("M3 Max", "30", 300 * GB, 96 * GB), Chip("M3 Max", "40", 400 * GB, 128 * GB),
         Chip("M3 Ultra", "60, 80", 819 * GB, 512 * GB), Chip("M4", "8, 10", 120 * GB, 32 * GB), Chip("M4 Pro", "16, 20", 273 * GB, 64 * GB),
         Chip("M4 Max", "32", 410 * GB, 36 * GB), Chip("M4 Max", "40", 546 * GB, 128 * GB), Chip("M5", "8, 10", 153 * GB, 32 * GB),
         Chip("M5 Pro", "16, 20", 307 * GB, 64 * GB), Chip("M5 Max", "40", 614 * GB, 128 * GB))


def roofline(chip: Chip, shape: Shape, bits: float) -> float:
    """Tokens a second if a token took its bytes at the data sheet's bandwidth, and nothing else."""
    return chip.bandwidth / shape.token_bytes(bits)


def predicted(chip: Chip, shape: Shape, bits: float) -> float:
    return 1 / (shape.token_bytes(bits) / (ATTAINABLE * chip.bandwidth) + shape.dispatches() * DISPATCH)


def fits(chip: Chip, shape: Shape, bits: float) -> bool:
    return shape.weight_bytes(bits) <= SHARE_OF_MEMORY * chip.memory


def table(header: List[str], rows: List[List[str]]) -> List[str]:
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    def line(cells: List[str]) -> str:
        return "| " + " | ".join(cell.ljust(widths[0]) if i == 0 else cell.rjust(widths[i]) for i, cell in enumerate(cells)) + " |"
    rule = "| " + " | ".join("-" * widths[0] if i == 0 else "-" * (widths[i] - 1) + ":" for i in range(len(header))) + " |"
    return [line(header), rule, *(line(row) for row in rows)]


def document() -> str:
    out = [f"What a token takes, at {CONTEXT} tokens of context with keys and values in f16: MB (of 10⁶ bytes) by format, and dispatches, each of",
           "which waits for the one before.", ""]
    out += table(["model", *FORMATS, "dispatches"],
                 [[shape.name, *(f"{shape.token_bytes(bits) / 1e6:,.0f}" for bits in FORMATS.values()), str(shape.dispatches())] for shape in SHAPES])
    for name, bits in FORMATS.items():
        out += ["", f"{name}, tokens a second: roofline (the bytes at the data sheet's bandwidth) and, behind it, what is predicted.", ""]
        rows = []
        for chip in CHIPS:
            cells = [f"{roofline(chip, shape, bits):.0f} · {predicted(chip, shape, bits):.0f}" if fits(chip, shape, bits) else "–" for shape in SHAPES]
            rows.append([chip.name, chip.cores, f"{chip.bandwidth / GB:.0f}", *cells])
        out += table(["chip", "GPU cores", "GB/s", *(shape.name for shape in SHAPES)], rows)
    return "\n".join(out) + "\n"


def replaced(text: str) -> str:
    pattern = re.compile(re.escape(BEGIN) + r"\n.*?" + re.escape(END), re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise ValueError(f"the document needs one pair of lines {BEGIN} and {END}")
    return pattern.sub(lambda _: f"{BEGIN}\n\n{document()}\n{END}", text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fix", action="store_true", help="write the tables into docs/apple-silicon.md")
    if not parser.parse_args().fix:
        print(document(), end="")
        return 0
    try:
        DOCUMENT.write_text(replaced(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
    except (OSError, ValueError) as error:
        print(f"predict_apple: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
