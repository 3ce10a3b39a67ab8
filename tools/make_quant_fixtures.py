#!/usr/bin/env python3
"""Makes tests/data/quant: blocks of every format, and what the reference implementations say of them.

Needs numpy and gguf (the Python package of ggml-org/llama.cpp). For each block format TYPE:
  TYPE.blocks  random blocks, with finite scales
  TYPE.f32     gguf's dequantisation of them
and for formats that we write too:
  TYPE.in.f32  floats that exercise ties, zeros, signs and denormals
  TYPE.out     gguf's quantisation of them
"""
import pathlib

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import quants

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data" / "quant"
BLOCKS = 4
# Byte offsets of the binary16 scales of each block.
SCALES = {Type.Q8_0: [0], Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2], Type.Q2_K: [80, 82],
          Type.Q3_K: [108], Type.Q4_K: [0, 2], Type.Q5_K: [0, 2], Type.Q6_K: [208]}
BYTES = {Type.Q8_0: 34, Type.Q4_0: 18, Type.Q4_1: 20, Type.Q5_0: 22, Type.Q5_1: 24, Type.Q2_K: 84, Type.Q3_K: 110,
         Type.Q4_K: 144, Type.Q5_K: 176, Type.Q6_K: 210}


def random_blocks(rng, kind):
    blocks = rng.integers(0, 256, size=(BLOCKS, BYTES[kind]), dtype=np.uint8)
    for offset in SCALES[kind]:
        scale = rng.normal(scale=0.02, size=BLOCKS).astype(np.float16)
        blocks[:, offset:offset + 2] = scale.view(np.uint8).reshape(BLOCKS, 2)
    return blocks


def hard_floats(rng):
    """Rows of 32 that a rounding mistake would show in."""
    # A row of -0.0 is left out: gguf's Python keeps its sign in Q4_0's scale, where ggml's C, which we follow, does not.
    rows = [np.zeros(32), np.linspace(-1, 1, 32), np.linspace(-127, 127, 32) / 2]
    tied = np.zeros(32)
    tied[[3, 7]] = [-4.0, 4.0]  # equal magnitudes: the first decides the sign
    rows += [tied, -tied, np.arange(32) * 0.5 - 8, np.full(32, 1e-30), np.full(32, 6e-8), np.full(32, 3e4)]
    rows += [rng.normal(scale=10.0 ** e, size=32) for e in range(-6, 4)]
    rows.append(np.where(np.arange(32) == 0, 127.0, np.arange(32) + 0.5))  # halves: away from zero for Q8_0
    return np.stack(rows).astype(np.float32)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(20260101)
    for kind in SCALES:
        blocks = random_blocks(rng, kind)
        (OUT / f"{kind.name}.blocks").write_bytes(blocks.tobytes())
        (OUT / f"{kind.name}.f32").write_bytes(quants.dequantize(blocks, kind).astype("<f4").tobytes())
    rows = hard_floats(rng)
    for kind in (Type.Q8_0, Type.Q4_0, Type.BF16):
        (OUT / f"{kind.name}.in.f32").write_bytes(rows.astype("<f4").tobytes())
        (OUT / f"{kind.name}.out").write_bytes(quants.quantize(rows, kind).tobytes())


if __name__ == "__main__":
    main()
