"""Writes a checkpoint as ml-explore/mlx-lm's converter would: affine quantisation, MLX's names and shapes."""
import json

import numpy
import torch
from safetensors.torch import save_file

# Bits and group size: the common setting, and the overrides that some paths have.
COMMON = (4, 32)
OVERRIDES = {"lm_head": (8, 64), "model.embed_tokens": (6, 64), "model.layers.0.mlp.down_proj": (3, 32),
             "model.layers.1.linear_attn.out_proj": (5, 32), "model.layers.2.self_attn.q_proj": (2, 64)}


def quantize(weights, bits, group_size):
    """MLX's affine rounding (ml-explore/mlx mlx/backend/metal/kernels/quantized.h): codes, scales and biases."""
    rows, cols = weights.shape
    groups = weights.reshape(rows, cols // group_size, group_size).astype(numpy.float64)
    low, high = groups.min(-1), numpy.maximum(groups.max(-1), 0)
    levels = 2**bits - 1
    scale = numpy.maximum((high - low) / levels, 1e-7)
    from_low = numpy.abs(low) > numpy.abs(high)
    scale = numpy.where(from_low, scale, -scale)
    edge = numpy.where(from_low, low, high)
    first = numpy.rint(edge / scale)
    scale = numpy.where(first != 0, edge / numpy.where(first == 0, 1, first), scale)
    bias = numpy.where(first != 0, edge, 0)
    codes = numpy.clip(numpy.rint((groups - bias[..., None]) / scale[..., None]), 0, levels).astype(numpy.uint8)
    return codes.reshape(rows, cols), scale, bias


def pack(codes, bits):
    """Codes of a row one after the other, lowest bit first, in 32-bit words."""
    planes = (codes[..., None] >> numpy.arange(bits, dtype=numpy.uint8)) & 1
    packed = numpy.packbits(planes.reshape(codes.shape[0], -1), axis=1, bitorder="little")
    return packed.view("<u4")


def write(out, config, state):
    """Writes config.json and model.safetensors, and returns the weights that they stand for, by Hugging Face's names."""
    file, back = {}, {}
    for name, value in state.items():
        path = name.removesuffix(".weight")
        mlx_path = "language_model." + path
        if value.ndim == 2:
            bits, group_size = OVERRIDES.get(path, COMMON)
            codes, scale, bias = quantize(value.numpy(), bits, group_size)
            scale, bias = (torch.tensor(x, dtype=torch.float32).to(torch.bfloat16) for x in (scale, bias))
            file[mlx_path + ".weight"] = torch.from_numpy(pack(codes, bits).copy())
            file[mlx_path + ".scales"], file[mlx_path + ".biases"] = scale, bias
            spread = lambda x: x.float().repeat_interleave(group_size, dim=1)
            back[name] = torch.from_numpy(codes).float() * spread(scale) + spread(bias)
        elif name.endswith("conv1d.weight"):
            file["language_model." + name] = value.to(torch.bfloat16).movedim(2, 1).contiguous()
            back[name] = value.to(torch.bfloat16).float()
        elif name.endswith(("A_log", "dt_bias", "linear_attn.norm.weight")):
            file["language_model." + name] = value
            back[name] = value
        else:  # the zero-centred norms
            file["language_model." + name] = (1 + value).to(torch.bfloat16)
            back[name] = file["language_model." + name].float() - 1
    setting = lambda bits, group_size: {"group_size": group_size, "bits": bits, "mode": "affine"}
    quantization = setting(*COMMON)
    quantization.update({"language_model." + path: setting(*own) for path, own in OVERRIDES.items()})
    text = {key: value for key, value in config.items() if key != "architectures"}
    outer = dict(architectures=["Qwen3_5ForConditionalGeneration"], model_type="qwen3_5", text_config=text,
                 tie_word_embeddings=text["tie_word_embeddings"], quantization=quantization,
                 quantization_config=quantization)
    (out / "config.json").write_text(json.dumps(outer, indent=1) + "\n")
    save_file(file, out / "model.safetensors", metadata={"format": "mlx"})
    return back
