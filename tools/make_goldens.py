#!/usr/bin/env python3
"""Records what Hugging Face transformers computes, as golden files for the tests.

    tools/make_goldens.py shipped models/tinystories-qwen35     # rewrites its golden.json
    tools/make_goldens.py cases tests/data/model                # rewrites the small checkpoints and their goldens

Needs torch, transformers, tokenizers, safetensors, numpy and gguf; the tests need only what this writes. Everything runs on
the CPU in float32 with eager attention and transformers' own torch code: no kernels from fla, causal-conv1d or the hub,
which round differently. The head that guesses ahead (MTP), which transformers skips, is `mtp_head`'s, over transformers' layer. Each file says with which versions it was made.
"""
import argparse
import importlib.util
import json
import platform
import zlib
from pathlib import Path

import torch
import transformers
from transformers import AutoConfig, Qwen3_5ForCausalLM, Qwen3_5ForConditionalGeneration

from goldens import cases, mtp


def made_with():
    for package in ("fla", "causal_conv1d", "kernels"):
        assert importlib.util.find_spec(package) is None, f"{package} is installed: it would replace the torch code"
    return {"implementation": "transformers Qwen3_5ForCausalLM, Qwen3_5ForConditionalGeneration",
            "transformers": transformers.__version__, "torch": torch.__version__,
            "python": platform.python_version(), "device": "cpu", "dtype": "float32", "attention": "eager",
            "kernels": "transformers' torch code (no fla, no causal-conv1d)"}


def load(directory):
    nested = AutoConfig.from_pretrained(directory).model_type == "qwen3_5"
    kind = Qwen3_5ForConditionalGeneration if nested else Qwen3_5ForCausalLM
    return kind.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()


def rounded(values, digits):
    return [round(float(value), digits) for value in values]


@torch.no_grad()
def greedy(model, ids, n_tokens):
    """The logits row before each of `n_tokens` greedy tokens, by cached decoding, and the tokens."""
    out = model(input_ids=torch.tensor([ids]), use_cache=True)
    rows, tokens = [], []
    for _ in range(n_tokens):
        rows.append(out.logits[0, -1].float())
        tokens.append(int(rows[-1].argmax()))
        if len(tokens) < n_tokens:
            out = model(input_ids=torch.tensor([tokens[-1:]]), past_key_values=out.past_key_values, use_cache=True)
    return torch.stack(rows), tokens


@torch.no_grad()
def token_nll(model, ids):
    """-log p of every token but the first, from one pass."""
    logits = model(input_ids=torch.tensor([ids])).logits[0, :-1].double()
    return torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:]), reduction="none")


def shipped_prompt(model, tokenizer, prompt):
    ids = tokenizer.encode(prompt).ids
    rows, tokens = greedy(model, ids, 64)
    best = rows.topk(2).values
    steps = []
    for row in rows[:32]:
        top = row.topk(10)
        steps.append({"top10": [[int(i), round(float(v), 6)] for v, i in zip(top.values, top.indices)],
                      "logsumexp": round(float(row.double().logsumexp(0)), 6)})
    return {"prompt": prompt, "prompt_ids": ids, "continuation_ids": tokens,
            "continuation": tokenizer.decode(tokens, skip_special_tokens=False),
            "smallest_top1_margin": round(float((best[:, 0] - best[:, 1]).min()), 5), "steps": steps}


def make_shipped(directory, prompts):
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    model = load(directory)
    text = (directory / "heldout.txt").read_text()
    ids = tokenizer.encode(text).ids
    first = token_nll(model, ids[:4096])
    windows = torch.cat([token_nll(model, ids[i:i + 1025]) for i in range(0, len(ids) - 1, 1024)])
    golden = {
        "made_with": {**made_with(), "weights": "the bfloat16 checkpoint, upcast to float32"},
        "note": "Greedy decoding with a cache; the end-of-text token is not treated as a stop. steps[i].top10 holds "
                "[token id, logit] pairs, best first, for generated position i. No BOS token is added; <|endoftext|> in "
                "heldout.txt is the special token.",
        "prompts": [shipped_prompt(model, tokenizer, prompt) for prompt in prompts],
        "perplexity": {
            "file": "heldout.txt", "tokens": 4096, "predicted": 4095, "mean_nll": float(first.mean()),
            "mean_nll_of_first": {str(n): float(first[:n - 1].mean()) for n in (128, 512, 1024, 2048)},
            "how": "one forward pass over the first 4096 tokens from an empty state; mean of -log p(token i | tokens "
                   "before it) for i = 1..4095",
            "token_ids": ids[:4096]},
        "perplexity_full": {
            "file": "heldout.txt", "tokens": len(ids), "predicted": len(ids) - 1, "mean_nll": float(windows.mean()),
            "how": "windows of 1024 predictions, each from an empty state (window i reads tokens 1024 i .. 1024 i + "
                   "1023 and predicts the next one at each)"},
    }
    assert len(windows) == len(ids) - 1
    (directory / "golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


PROMPT_LENGTHS = (1, 63, 64, 65, 257)
CONTINUATION = 8


@torch.no_grad()
def case_prompt(model, ids, continuation):
    """One pass over the prompt, then the continuation token by token; logits enough to tell any error in either."""
    out = model(input_ids=torch.tensor([ids]), use_cache=True)
    prompt_rows, rows = out.logits[0].float(), []
    for token in continuation:
        out = model(input_ids=torch.tensor([[token]]), past_key_values=out.past_key_values, use_cache=True)
        rows.append(out.logits[0, -1].float())
    return {"ids": ids, "continuation": continuation,
            "logsumexp": rounded(prompt_rows.double().logsumexp(-1), 5),
            "last_logits": rounded(prompt_rows[-1], 5),
            "continuation_logsumexp": rounded(torch.stack(rows).double().logsumexp(-1), 5),
            "continuation_last_logits": rounded(rows[-1], 5)}


def make_cases(directory, only):
    for case in cases.all_cases():
        if only and case.name not in only:
            continue
        out = directory / case.name
        out.mkdir(parents=True, exist_ok=True)
        for old in out.iterdir():
            old.unlink()
        model, state = case.write(out, load)
        vocab = case.vocab_size
        generator = torch.Generator().manual_seed(zlib.crc32(case.name.encode()))
        draw = lambda n: torch.randint(vocab, (n,), generator=generator).tolist()
        golden = {"made_with": made_with(), "about": case.about,
                  "prompts": [case_prompt(model, draw(n), draw(CONTINUATION)) for n in PROMPT_LENGTHS]}
        if "mtp.fc.weight" in state and case.config.get("mtp_num_hidden_layers"):
            head = mtp.head_of(model, state)
            for prompt in golden["prompts"]:
                texts = (prompt["ids"], prompt["ids"] + prompt["continuation"])
                prompt["drafts"] = [mtp.golden(model, head, fed, rounded) for fed in texts]
        (out / "golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
        size = sum(file.stat().st_size for file in out.iterdir())
        assert size < 300_000, f"{case.name} takes {size} bytes"
        print(f"{case.name}: {size} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    shipped = commands.add_parser("shipped", help="rewrite golden.json of a model directory with heldout.txt")
    shipped.add_argument("directory", type=Path)
    case = commands.add_parser("cases", help="rewrite the checkpoints of odd shapes")
    case.add_argument("directory", type=Path)
    case.add_argument("names", nargs="*", help="of the checkpoints; without any, all of them")
    args = parser.parse_args()
    torch.set_num_threads(2)
    if args.command == "shipped":
        prompts = [entry["prompt"] for entry in json.loads((args.directory / "golden.json").read_text())["prompts"]]
        make_shipped(args.directory, prompts)
    else:
        make_cases(args.directory, args.names)


if __name__ == "__main__":
    main()
