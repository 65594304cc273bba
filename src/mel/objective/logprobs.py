"""Log-probabilities of given tokens out of logits, without a second copy of the logits.

Axes: R rows, T positions, V vocabulary.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def token_logprobs(logits_RTV: Float[Tensor, "R T V"], ids_RT: Int[Tensor, "R T"]) -> Float[Tensor, "R T"]:
    """log softmax(logits)[id] per position, in float32, row by row to bound memory."""
    rows = []
    for logits_TV, ids_T in zip(logits_RTV, ids_RT, strict=True):
        scores_TV = logits_TV.float()
        picked_T = scores_TV.gather(-1, ids_T[:, None]).squeeze(-1)
        rows.append(picked_T - scores_TV.logsumexp(-1))
    return torch.stack(rows)
