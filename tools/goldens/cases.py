"""The checkpoints of odd shapes, with random weights: each is a shape or a layout that a reader or a kernel could get wrong."""
import json
import math
import zlib

import torch
from safetensors.torch import save_file
from transformers import Qwen3_5TextConfig, Qwen3_5ForCausalLM

from goldens import gguf_layout, mlx_layout, mtp

TEXT_CONFIG = dict(
    architectures=["Qwen3_5ForCausalLM"], model_type="qwen3_5_text", attention_bias=False, attn_output_gate=True,
    hidden_act="silu", linear_conv_kernel_dim=4, max_position_embeddings=1024, rms_norm_eps=1e-6, vocab_size=201,
    eos_token_id=0, tie_word_embeddings=True, full_attention_interval=4,
    rope_parameters=dict(rope_type="default", rope_theta=1e7, partial_rotary_factor=0.25, mrope_interleaved=True,
                         mrope_section=[11, 11, 10]))


def linear_heads(k_heads, v_heads, size):
    return dict(linear_num_key_heads=k_heads, linear_num_value_heads=v_heads, linear_key_head_dim=size,
                linear_value_head_dim=size)


def full_heads(heads, kv_heads, size):
    return dict(num_attention_heads=heads, num_key_value_heads=kv_heads, head_dim=size)


def layer_types(letters):
    kinds = {"L": "linear_attention", "F": "full_attention"}
    return dict(num_hidden_layers=len(letters), layer_types=[kinds[letter] for letter in letters])


def random_state(config, seed):
    """Weights by name, of the sizes that trained ones have: unit-variance maps, norms about 1, decays of every speed."""
    torch.manual_seed(seed)
    state = {}
    for name, value in Qwen3_5ForCausalLM(Qwen3_5TextConfig(**config)).state_dict().items():
        shape = value.shape
        if name.endswith("A_log"):
            state[name] = torch.empty(shape).uniform_(0.01, 16).log()
        elif name.endswith("dt_bias"):
            state[name] = torch.empty(shape).uniform_(-5, 1)
        elif name.endswith("linear_attn.norm.weight"):
            state[name] = 1 + 0.2 * torch.randn(shape)
        elif name.endswith("norm.weight"):
            state[name] = 0.2 * torch.randn(shape)
        elif name.endswith("conv1d.weight"):
            state[name] = torch.empty(shape).uniform_(-0.7, 0.7)
        elif name == "lm_head.weight" or name.endswith("embed_tokens.weight"):
            # Logits of about ±3: a model that is neither sure of all nor of nothing.
            state[name] = torch.randn(shape) * 3 / math.sqrt(shape[1])
        else:
            state[name] = torch.randn(shape) / math.sqrt(shape[1])
    if config["tie_word_embeddings"]:
        state.pop("lm_head.weight", None)
    return state


def random_mtp(config, seed):
    """Weights of a head that guesses ahead. Its layer is one that a decoder of one full layer would have."""
    layer = random_state({**config, **layer_types("F")}, seed)
    prefix = "model.layers.0."
    return mtp.random_state(config["hidden_size"], {name.removeprefix(prefix): value for name, value in layer.items()
                                                    if name.startswith(prefix)})


class Case:
    """A text checkpoint in one file. Subclasses change the layout."""

    def __init__(self, name, about, dtype=torch.bfloat16, **config):
        self.name, self.about, self.dtype = name, about, dtype
        self.weights_of = name
        self.config = {**TEXT_CONFIG, **config}
        self.vocab_size = self.config["vocab_size"]

    def stored(self):
        """Weights as the file stores them; the released checkpoints keep A_log and linear_attn.norm in F32."""
        keep = ("A_log", "linear_attn.norm.weight")
        seed = zlib.crc32(self.weights_of.encode())
        state = random_state(self.config, seed)
        if self.config.get("mtp_num_hidden_layers"):
            state.update(random_mtp(self.config, seed + 1))
        return {name: value if name.endswith(keep) else value.to(self.dtype) for name, value in state.items()}

    def write(self, out, load):
        """Writes the checkpoint; returns the model that Hugging Face makes of it, and all weights that it has."""
        (out / "config.json").write_text(json.dumps(self.config, indent=1) + "\n")
        state = self.stored()
        save_file(state, out / "model.safetensors", metadata={"format": "pt"})
        return load(out), state


class NestedCase(Case):
    """As the released files: a vision-language checkpoint, of which a text engine must skip the rest."""

    def write(self, out, load):
        text = {key: value for key, value in self.config.items() if key != "architectures"}
        vision = dict(model_type="qwen3_5_vision", depth=1, hidden_size=16, intermediate_size=16, num_heads=2,
                      out_hidden_size=self.config["hidden_size"], patch_size=2, temporal_patch_size=1,
                      spatial_merge_size=1, num_position_embeddings=16)
        outer = dict(architectures=["Qwen3_5ForConditionalGeneration"], model_type="qwen3_5", text_config=text,
                     vision_config=vision, tie_word_embeddings=text["tie_word_embeddings"], image_token_id=1,
                     video_token_id=2, vision_start_token_id=3, vision_end_token_id=4)
        (out / "config.json").write_text(json.dumps(outer, indent=1) + "\n")
        (out / "generation_config.json").write_text(json.dumps(dict(eos_token_id=[0, 7], do_sample=True)) + "\n")
        hidden = self.config["hidden_size"]
        state = {name.replace("model.", "model.language_model.", 1): value for name, value in self.stored().items()}
        state["model.visual.pos_embed.weight"] = torch.randn(16, 16).to(self.dtype)
        state["model.visual.blocks.0.norm1.weight"] = torch.ones(16).to(self.dtype)
        state["mtp.fc.weight"] = torch.randn(hidden, 2 * hidden).to(self.dtype)
        state["mtp.norm.weight"] = torch.randn(hidden).to(self.dtype)
        save_file(state, out / "model.safetensors", metadata={"format": "pt"})
        return load(out), state


class ShardedCase(Case):
    def write(self, out, load):
        (out / "config.json").write_text(json.dumps(self.config, indent=1) + "\n")
        state = self.stored()
        names, weight_map, count = sorted(state), {}, 3
        for i in range(count):
            file = f"model-{i + 1:05}-of-{count:05}.safetensors"
            part = {name: state[name] for name in names[i::count]}
            save_file(part, out / file, metadata={"format": "pt"})
            weight_map.update(dict.fromkeys(part, file))
        total = sum(value.numel() * value.element_size() for value in state.values())
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        (out / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")
        return load(out), state


class ConvertedCase(Case):
    """The same weights through another project's conversion; Hugging Face runs on what comes back from it."""

    def __init__(self, *args, weights_of, layout, **kwargs):
        super().__init__(*args, **kwargs)
        self.weights_of, self.layout = weights_of, layout

    def write(self, out, load):
        state = {name: value.float() for name, value in self.stored().items()}
        back = self.layout.write(out, self.config, state)
        model = Qwen3_5ForCausalLM._from_config(Qwen3_5TextConfig(**self.config), attn_implementation="eager")
        missing = model.load_state_dict(back, strict=False).missing_keys
        assert missing in ([], ["lm_head.weight"]), missing
        model.tie_weights()
        return model.float().eval(), back


def all_cases():
    # Three V heads a K head, the ratio at which a wrong order shows; the K heads' number and the ratio differ.
    base = dict(hidden_size=64, intermediate_size=32, tie_word_embeddings=False, **full_heads(4, 2, 32),
                **linear_heads(2, 6, 16), **layer_types("LLF"))
    with_mtp = dict(hidden_size=64, intermediate_size=32, tie_word_embeddings=False, mtp_num_hidden_layers=1,
                    mtp_use_dedicated_embeddings=False, vocab_size=120, **full_heads(4, 2, 32),
                    **linear_heads(1, 2, 16), **layer_types("LF"))
    return [
        Case("v_per_k_1", "one V head a K head; five layers; tied", hidden_size=80, intermediate_size=28,
             num_hidden_layers=5, **full_heads(2, 1, 32), **linear_heads(1, 1, 32)),
        Case("v_per_k_2", "two V heads a K head; untied; hidden size no multiple of 8; custom layer_types; float16",
             dtype=torch.float16, hidden_size=52, intermediate_size=36, tie_word_embeddings=False,
             **full_heads(3, 1, 32), **linear_heads(1, 2, 32), **layer_types("FLLFL")),
        NestedCase("nested_v_per_k_3", "vision-language layout with tensors to skip; three V heads a K head; tied",
                   hidden_size=64, intermediate_size=36, **full_heads(2, 2, 32), **linear_heads(2, 6, 16),
                   **layer_types("LLF")),
        ShardedCase("sharded", "three shards and an index; head size 64, half of it rotated; float32",
                    dtype=torch.float32, hidden_size=48, intermediate_size=56, **full_heads(2, 1, 64),
                    **linear_heads(3, 3, 16), **layer_types("LF"), vocab_size=150,
                    rope_parameters={**TEXT_CONFIG["rope_parameters"], "partial_rotary_factor": 0.5}),
        Case("base", "the weights that base_mlx and base_gguf convert", **base),
        ConvertedCase("base_mlx", "base, quantised as MLX does", weights_of="base", layout=mlx_layout, **base),
        ConvertedCase("base_gguf", "base, as a GGUF file with many tensor types", weights_of="base", layout=gguf_layout,
                      **base),
        Case("mtp", "with a head that guesses ahead", **with_mtp),
        Case("mtp_tied", "such a head over a tied embedding; hidden size no multiple of 8; float16", dtype=torch.float16,
             **{**with_mtp, **full_heads(3, 1, 32), "hidden_size": 52, "intermediate_size": 36,
                "tie_word_embeddings": True}),
        ConvertedCase("mtp_gguf", "mtp, as a GGUF file with many tensor types", weights_of="mtp", layout=gguf_layout,
                      **with_mtp),
    ]
