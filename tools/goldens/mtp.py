"""What a checkpoint's head that guesses ahead (MTP) says, by `mtp_head`: Hugging Face transformers does not run it."""
import math

import torch

from mtp_head import MtpHead

GUESSES = 3
# A guess whose lead is smaller could fall to another token in a program that rounds otherwise.
SMALLEST_LEAD = 0.05


def random_state(hidden_size, layer_state):
    """Weights by name. layer_state: those of its layer, by the names of a decoder layer."""
    state = {"mtp.fc.weight": torch.randn(hidden_size, 2 * hidden_size) / math.sqrt(2 * hidden_size)}
    for name in ("pre_fc_norm_embedding", "pre_fc_norm_hidden", "norm"):
        state[f"mtp.{name}.weight"] = 0.2 * torch.randn(hidden_size)
    state.update({"mtp.layers.0." + name: value for name, value in layer_state.items()})
    return state


def head_of(model, state):
    head = MtpHead(model.config.get_text_config())
    head.load_state_dict({name.removeprefix("mtp."): value.float() for name, value in state.items()
                          if name.startswith("mtp.")})
    return head.eval()


@torch.no_grad()
def draft(model, head, fed, token):
    """Rows of logits of the guesses that follow `token`, which follows `fed`. Nothing is cached: every guess is made of all
    rows from the first on, and its own output takes the place of the decoder's."""
    decoder = model.model
    outputs = decoder(input_ids=torch.tensor([fed])).last_hidden_state
    following = fed[1:] + [token]
    rows = []
    for _ in range(GUESSES):
        embedded = decoder.embed_tokens(torch.tensor([following]))
        last = head(embedded, outputs, decoder.rotary_emb)[:, -1:]
        rows.append(model.lm_head(last)[0, 0].float())
        outputs = torch.cat([outputs, last], dim=1)
        following = following + [int(rows[-1].argmax())]
    return torch.stack(rows)


def golden(model, head, fed, rounded):
    """The draft behind the first token whose guesses all lead clearly."""
    for token in range(model.config.get_text_config().vocab_size):
        rows = draft(model, head, fed, token)
        best = rows.topk(2).values
        if float((best[:, 0] - best[:, 1]).min()) >= SMALLEST_LEAD:
            return {"after": len(fed), "token": token, "guesses": rows.argmax(-1).tolist(),
                    "logits": [rounded(row, 5) for row in rows]}
    raise ValueError("no guess leads clearly")
