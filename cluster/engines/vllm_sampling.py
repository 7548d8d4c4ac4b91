"""Top-p and top-k on a CPU without sorting the vocabulary.

vLLM sorts every row of logits at every step to find the most probable tokens that make up top_p: a fifth of the
time of a step of a small model, and tens of milliseconds a row with a large vocabulary. The tokens kept are nearly
always among the few hundred most probable, which are found without a sort; a row whose are not goes vLLM's way.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

CANDIDATES = 128


def install() -> None:
    """Put `mask_unlikely` in the place of vLLM's own, in this process and in what is forked from it."""
    from vllm.v1.sample.ops import topk_topp_sampler as ops

    if not ops.HAS_TRITON and getattr(ops.apply_top_k_top_p, "slow", None) is None:
        ops.apply_top_k_top_p = _instead_of(ops.apply_top_k_top_p)


def _instead_of(slow: "Callable[..., Tensor]") -> "Callable[..., Tensor]":
    def apply_top_k_top_p(logits: "Tensor", k: "Tensor | None", p: "Tensor | None") -> "Tensor":
        return slow(logits, k, p) if p is None else mask_unlikely(logits, k, p, slow)

    apply_top_k_top_p.slow = slow  # type: ignore[attr-defined]  # says that it is installed
    return apply_top_k_top_p


def mask_unlikely(
    logits: "Tensor", k: "Tensor | None", p: "Tensor", slow: "Callable[..., Tensor]", candidates: int = CANDIDATES
) -> "Tensor":
    """Set the logits of tokens outside each row's top-k and top-p to -inf, as `slow` does.

    A token is kept where those more probable than it make up less than p (Holtzman et al., 2020), of what top-k
    left. Only among tokens of exactly equal logits may the choice differ from `slow`'s. A row's outcome does not
    depend on the other rows.

    logits: float32, shape (rows, vocabulary), may be changed. k: int, shape (rows,), the vocabulary's size where
    all are kept, or None. p: shape (rows,), 1 where all are kept.
    """
    import torch

    rows, vocabulary = logits.shape
    if vocabulary <= candidates * 2:
        return slow(logits, k, p)
    best, places = logits.topk(candidates, dim=-1)
    total = logits.logsumexp(-1)
    unlimited = torch.ones(rows, dtype=torch.bool, device=logits.device) if k is None else k >= vocabulary
    if k is not None:
        ranks = torch.arange(candidates, device=logits.device)
        best = best.masked_fill(~unlimited.unsqueeze(1) & (ranks >= k.unsqueeze(1)), -torch.inf)
        total = torch.where(unlimited, total, best.logsumexp(-1))
    shares = (best - total.unsqueeze(1)).exp_()
    reached = shares.cumsum(-1)
    kept = best.masked_fill(reached - shares >= p.unsqueeze(1), -torch.inf)
    masked = torch.full_like(logits, -torch.inf).scatter_(-1, places, kept)
    # Of a settled row the candidates hold all that is kept: they reach p, or top-k leaves no others.
    settled = reached[:, -1] >= p
    if k is not None:
        settled = torch.where(unlimited, settled, k <= candidates)
    if bool(settled.all()):
        return masked
    everything = unlimited & (p >= 1)
    masked[everything] = logits[everything]
    rest = ~settled & ~everything
    if bool(rest.any()):
        masked[rest] = slow(logits[rest], None if k is None else k[rest], p[rest])
    return masked
