#!/usr/bin/env python3
"""Trains a head that guesses ahead (multi-token prediction, MTP) for a Qwen3.5 checkpoint that has none.

    tools/train_mtp.py MODEL OUT --text stories.txt --minutes 15

MODEL is a Hugging Face directory, whose weights stay as they are; OUT becomes a copy of it with the 15 tensors `mtp.*` and
`mtp_num_hidden_layers` 1, which `lattice run OUT --draft mtp` guesses with. In the text, documents are separated by
<|endoftext|>. The loss is the cross-entropy of the token after next. Called again with the same OUT, it goes on where it stopped
(OUT/training.pt), so a long training can be cut into pieces; the rate falls to zero over --steps.

Needs torch, transformers, tokenizers, safetensors and numpy. Runs on the CPU in float32.
"""
import argparse
import json
import math
import shutil
import time
from pathlib import Path

import numpy
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import Qwen3_5ForCausalLM

from mtp_head import MtpHead

STATE = "training.pt"
WHOLE = "model.safetensors"
DECODER_FILE = "model-decoder.safetensors"
HEAD_FILE = "model-mtp.safetensors"
INDEX = "model.safetensors.index.json"


def token_ids(model, text, cache):
    """The text's tokens, as one array. Kept beside the checkpoint, since long texts take a while."""
    if cache.exists():
        return numpy.load(cache)
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    end = "<|endoftext|>"
    parts = [part.strip() + end for part in text.read_text(encoding="utf-8").split(end) if part.strip()]
    ids = numpy.concatenate([numpy.array(one.ids, numpy.int32)
                             for one in tokenizer.encode_batch(parts, add_special_tokens=False)])
    numpy.save(cache, ids)
    return ids


def fresh_head(config):
    head = MtpHead(config)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.02 if parameter.dim() == 2 else 0.0)
    return head


def head_loss(model, head, ids):
    """The mean cross-entropy of the token after next, and the share of them that are the likeliest. ids: [batch, rows]."""
    decoder = model.model
    with torch.no_grad():
        outputs = decoder(input_ids=ids[:, :-2]).last_hidden_state
        embedded = decoder.embed_tokens(ids[:, 1:-1])
    logits = F.linear(head(embedded, outputs, decoder.rotary_emb), model.lm_head.weight).flatten(0, 1)
    wanted = ids[:, 2:].flatten()
    return F.cross_entropy(logits, wanted), (logits.argmax(-1) == wanted).float().mean()


def rows_of(ids, length, batch, step):
    """Batch `step` of the text cut into rows: every row once, in an order of chance, before any comes again."""
    n_rows = len(ids) // length
    epoch, first = divmod(step * batch, n_rows // batch * batch)
    order = numpy.random.default_rng(epoch).permutation(n_rows)[first:first + batch]
    return torch.from_numpy(numpy.stack([ids[i * length:(i + 1) * length] for i in order]).astype(numpy.int64))


def write_checkpoint(model, out, head):
    """Copies MODEL's files and puts the head beside them, in a file of its own that an index names. A single file is renamed,
    since readers that find model.safetensors look for no index."""
    if (model / INDEX).exists():
        weight_map = json.loads((model / INDEX).read_text())["weight_map"]
    else:
        with safe_open(model / WHOLE, "pt") as file:
            weight_map = dict.fromkeys(file.keys(), DECODER_FILE)
    for path in model.iterdir():
        target = out / (DECODER_FILE if path.name == WHOLE else path.name)
        if path.is_file() and not target.exists() and path.name != INDEX:
            shutil.copy(path, target)
    state = {"mtp." + name: value.detach().to(torch.bfloat16).contiguous() for name, value in head.state_dict().items()}
    save_file(state, out / HEAD_FILE, metadata={"format": "pt"})
    weight_map.update(dict.fromkeys(state, HEAD_FILE))
    (out / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}, indent=1) + "\n")
    config = json.loads((model / "config.json").read_text())
    config.get("text_config", config).update(mtp_num_hidden_layers=1, mtp_use_dedicated_embeddings=False)
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def train(args):
    model = Qwen3_5ForCausalLM.from_pretrained(args.model, dtype=torch.float32, attn_implementation="eager").eval()
    model.requires_grad_(False)
    args.out.mkdir(parents=True, exist_ok=True)
    ids = token_ids(args.model, args.text, args.out / "training_ids.npy")
    head = fresh_head(model.config)
    optimizer = torch.optim.AdamW(head.parameters(), lr=args.rate, betas=(0.9, 0.95), weight_decay=0.01)
    step = 0
    if (args.out / STATE).exists():
        saved = torch.load(args.out / STATE)
        step = saved["step"]
        head.load_state_dict(saved["head"])
        optimizer.load_state_dict(saved["optimizer"])
    end = time.monotonic() + 60 * args.minutes
    losses, shares = [], []
    while step < args.steps and time.monotonic() < end:
        warm = min(1.0, (step + 1) / 20)
        for group in optimizer.param_groups:
            group["lr"] = args.rate * warm * 0.5 * (1 + math.cos(math.pi * step / args.steps))
        loss, share = head_loss(model, head, rows_of(ids, args.length, args.batch, step))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimizer.step()
        step += 1
        losses.append(float(loss.detach()))
        shares.append(float(share))
        if step % 10 == 0:
            print(f"step {step}: loss {numpy.mean(losses[-10:]):.4f}, right {numpy.mean(shares[-10:]):.3f}", flush=True)
    torch.save({"step": step, "head": head.state_dict(), "optimizer": optimizer.state_dict()}, args.out / STATE)
    write_checkpoint(args.model, args.out, head)
    print(f"{step} of {args.steps} steps, {step * args.batch * args.length:,} tokens: {args.out}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=5, help="of this call")
    parser.add_argument("--steps", type=int, default=400, help="of the whole training")
    parser.add_argument("--batch", type=int, default=8, help="rows a step")
    parser.add_argument("--length", type=int, default=256, help="tokens a row")
    parser.add_argument("--rate", type=float, default=1.5e-3, help="learning rate at its highest")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(args.threads)
    train(args)


if __name__ == "__main__":
    main()
