#!/usr/bin/env python3
"""Makes tests/data/formats: small model files, written by the formats' own libraries.

Needs numpy, safetensors and gguf (0.19) from PyPI. Deterministic: running it again changes no file.
"""

import json
import pathlib
import struct

import gguf
import numpy as np
from safetensors.numpy import save_file

ROOT = pathlib.Path(__file__).resolve().parent.parent


def counting_bytes(count, start):
    """Bytes that a test can work out: start, start + 7, start + 14, … modulo 256."""
    return ((np.arange(count, dtype=np.int64) * 7 + start) % 256).astype(np.uint8)


def add_every_kind_of_metadata(writer):
    writer.add_uint8("test.u8", 200)
    writer.add_int8("test.i8", -100)
    writer.add_uint16("test.u16", 60000)
    writer.add_int16("test.i16", -30000)
    writer.add_uint32("test.u32", 4000000000)
    writer.add_int32("test.i32", -2000000000)
    writer.add_uint64("test.u64", 2**64 - 1)
    writer.add_int64("test.i64", -(2**63))
    writer.add_float32("test.f32", 0.15625)
    writer.add_float64("test.f64", 1e300)
    writer.add_bool("test.bool", True)
    writer.add_string("test.string", "grüße\n")
    writer.add_array("test.strings", ["Ġthe", "", "日本"])
    writer.add_array("test.ints", [-1, 0, 2**31 - 1])
    writer.add_array("test.floats", [0.5, -2.0])
    writer.add_array("test.bools", [True, False])


def make_every_type(path):
    """Every metadata type and every tensor type that the library knows."""
    writer = gguf.GGUFWriter(path, "test")
    add_every_kind_of_metadata(writer)
    writer.add_tensor("grid", np.arange(6, dtype=np.float32).reshape(2, 3) / 2)
    for kind in gguf.GGMLQuantizationType:
        if kind == gguf.GGMLQuantizationType.Q8_1:  # the library has its size wrong; it is for activations only
            continue
        _, size = gguf.GGML_QUANT_SIZES[kind]
        data = counting_bytes(3 * size, int(kind)).reshape(3, size)
        writer.add_tensor(f"type.{kind.name}", data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make_small(path):
    """As little as a GGUF file with metadata and tensors can be, with an alignment of its own."""
    writer = gguf.GGUFWriter(path, "test")
    writer.add_custom_alignment(64)
    writer.add_array("test.strings", ["a", "bc"])
    writer.add_tensor("first", np.arange(4, dtype=np.float32))
    writer.add_tensor("second", np.arange(6, dtype=np.float16).reshape(3, 2))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make_version_2(source, path):
    """Version 3 only added the byte order; otherwise the two are the same."""
    data = bytearray(source.read_bytes())
    data[4:8] = struct.pack("<I", 2)
    path.write_bytes(data)


def make_split(directory):
    directory.mkdir(exist_ok=True)
    writer = gguf.GGUFWriter(directory / "model.gguf", "test", split_max_tensors=2)
    writer.add_string("test.string", "in the first part")
    for i in range(5):
        writer.add_tensor(f"blk.{i}.weight", np.full((2, 4), i, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def make_hugging_face(directory):
    directory.mkdir(exist_ok=True)
    write_json(directory / "config.json", {"model_type": "test", "hidden_size": 4})
    write_json(directory / "generation_config.json", {"temperature": 0.5})
    tensors = {
        "matrix": np.arange(8, dtype=np.float32).reshape(2, 4),
        "half": np.arange(3, dtype=np.float16),
        "scalar": np.array(7, dtype=np.int64),
        "empty": np.zeros((0, 4), dtype=np.float32),
        "mask": np.array([True, False, True]),
    }
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})


def make_sharded(directory):
    directory.mkdir(exist_ok=True)
    write_json(directory / "config.json", {"model_type": "test"})
    shards = {
        "model-00001-of-00002.safetensors": {"a": np.zeros(2, dtype=np.float32), "b": np.ones(3, dtype=np.float32)},
        "model-00002-of-00002.safetensors": {"c": np.full(4, 2, dtype=np.float16)},
    }
    for name, tensors in shards.items():
        save_file(tensors, directory / name)
    weight_map = {tensor: name for name, tensors in shards.items() for tensor in tensors}
    write_json(directory / "model.safetensors.index.json", {"metadata": {"total_size": 28}, "weight_map": weight_map})


def make_mlx(directory):
    """As mlx/io/safetensors.cpp of ml-explore/mlx writes it: metadata null, header not padded, so that data is unaligned."""
    directory.mkdir(exist_ok=True)
    quantization = {"group_size": 64, "bits": 4}
    write_json(directory / "config.json", {"quantization": quantization, "quantization_config": quantization})
    tensors = {
        "linear.biases": ("BF16", [2, 1], counting_bytes(4, 1)),
        "linear.scales": ("BF16", [2, 1], counting_bytes(4, 2)),
        "linear.weight": ("U32", [2, 8], counting_bytes(64, 3)),
    }
    header, data = {"__metadata__": None}, b""
    for name, (dtype, shape, values) in tensors.items():
        begin, data = len(data), data + values.tobytes()
        header[name] = {"data_offsets": [begin, len(data)], "dtype": dtype, "shape": shape}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * ((4 - len(text)) % 8)  # 4 bytes off: unaligned for sure
    (directory / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)


def main():
    out = ROOT / "tests" / "data" / "formats"
    out.mkdir(parents=True, exist_ok=True)
    make_every_type(out / "every_type.gguf")
    make_small(out / "small.gguf")
    make_version_2(out / "small.gguf", out / "version_2.gguf")
    make_split(out / "split")
    make_hugging_face(out / "hugging_face")
    make_sharded(out / "sharded")
    make_mlx(out / "mlx")


if __name__ == "__main__":
    main()
