"""The head that guesses ahead (multi-token prediction) of a Qwen3.5 checkpoint, in PyTorch.

Hugging Face transformers skips the tensors `mtp.*`. This runs them with transformers' own decoder layer and norms: row t, made of
the decoder's output at token t (after its final norm) and of token t + 1, predicts token t + 2 (DeepSeek-V3, arXiv:2412.19437,
section 2.2; the names and the order of the halves are those of the released checkpoints).
"""
import copy

import torch
from torch import nn
from transformers.models.qwen3_5 import modeling_qwen3_5 as qwen


class MtpHead(nn.Module):
    """Parameters have the names of a checkpoint, less the prefix `mtp.`."""

    def __init__(self, config):
        """config: the text config of the checkpoint."""
        super().__init__()
        size, eps = config.hidden_size, config.rms_norm_eps
        config = copy.deepcopy(config)
        config.layer_types = ["full_attention"]
        self.fc = nn.Linear(2 * size, size, bias=False)
        self.pre_fc_norm_embedding = qwen.Qwen3_5RMSNorm(size, eps=eps)
        self.pre_fc_norm_hidden = qwen.Qwen3_5RMSNorm(size, eps=eps)
        self.layers = nn.ModuleList([qwen.Qwen3_5DecoderLayer(config, 0)])
        self.norm = qwen.Qwen3_5RMSNorm(size, eps=eps)

    def forward(self, embedded, outputs, rotary):
        """embedded, outputs: [batch, rows, hidden_size]: the embedding of token t + 1, the decoder's output at token t.
        rotary: the decoder's rotary embedding. Returns what the output matrix takes, of the same shape."""
        both = torch.cat([self.pre_fc_norm_embedding(embedded), self.pre_fc_norm_hidden(outputs)], dim=-1)
        rows = embedded.shape[1]
        positions = torch.arange(rows).expand(3, 1, -1)
        mask = torch.full((rows, rows), torch.finfo(embedded.dtype).min).triu(1)[None, None]
        x = self.fc(both)
        x = self.layers[0](x, position_embeddings=rotary(x, positions), attention_mask=mask)
        return self.norm(x)
