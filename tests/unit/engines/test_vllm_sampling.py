"""Top-p and top-k without a sort keep the tokens that sorting keeps."""

import pytest
import torch
from torch import Tensor

from cluster.engines.vllm_sampling import mask_unlikely

VOCABULARY = 400
CANDIDATES = 32


def by_sorting(logits: Tensor, k: Tensor | None, p: Tensor | None) -> Tensor:
    """What vLLM does: `apply_top_k_top_p_pytorch`."""
    assert p is not None
    ordered, places = logits.sort(dim=-1)
    if k is not None:
        smallest = ordered.gather(1, (ordered.size(1) - k.long()).unsqueeze(1))
        ordered = ordered.masked_fill(ordered < smallest, -torch.inf)
    unlikely = ordered.softmax(-1).cumsum(-1) <= 1 - p.unsqueeze(1)
    unlikely[:, -1] = False
    return logits.scatter(-1, places, ordered.masked_fill(unlikely, -torch.inf))


def by_neither(logits: Tensor, k: Tensor | None, p: Tensor | None) -> Tensor:
    raise AssertionError("sorted")


def kept(masked: Tensor) -> list[list[int]]:
    return [row.isfinite().nonzero()[:, 0].tolist() for row in masked]


@pytest.mark.parametrize("spread", [0.1, 2.0, 8.0])  # from nearly equal to a few that have it all
@pytest.mark.parametrize("seed", range(12))
def test_the_same_tokens_are_kept_as_by_sorting(seed: int, spread: float) -> None:
    draw = torch.Generator().manual_seed(seed)
    rows = 1 + seed % 5
    logits = torch.randn(rows, VOCABULARY, generator=draw) * spread
    p = torch.rand(rows, generator=draw).clamp_min(0.01)
    p[torch.rand(rows, generator=draw) < 0.3] = 1.0
    k = torch.randint(1, VOCABULARY, (rows,), generator=draw)
    k = None if seed % 2 else torch.where(torch.rand(rows, generator=draw) < 0.4, VOCABULARY, k).int()
    masked = mask_unlikely(logits.clone(), k, p, by_sorting, CANDIDATES)
    assert kept(masked) == kept(by_sorting(logits, k, p))
    assert torch.equal(masked[masked.isfinite()], logits[masked.isfinite()])


def test_nothing_is_sorted_where_few_tokens_are_likely() -> None:
    logits = torch.zeros(2, VOCABULARY)
    logits[:, :5] = 20.0
    masked = mask_unlikely(logits, None, torch.tensor([0.9, 0.5]), by_neither, CANDIDATES)
    assert [len(row) for row in kept(masked)] == [5, 3]


def test_a_row_that_keeps_everything_is_not_sorted() -> None:
    logits = torch.zeros(1, VOCABULARY)
    assert kept(mask_unlikely(logits, None, torch.ones(1), by_neither, CANDIDATES)) == [list(range(VOCABULARY))]


def test_top_k_below_the_candidates_is_not_sorted() -> None:
    logits = torch.arange(VOCABULARY).float().unsqueeze(0) / 1000
    masked = mask_unlikely(logits, torch.tensor([3]), torch.ones(1), by_neither, CANDIDATES)
    assert kept(masked) == [[VOCABULARY - 3, VOCABULARY - 2, VOCABULARY - 1]]


def test_the_most_probable_token_stays_for_the_smallest_p() -> None:
    logits = torch.randn(1, VOCABULARY, generator=torch.Generator().manual_seed(0))
    masked = mask_unlikely(logits, None, torch.tensor([1e-6]), by_sorting, CANDIDATES)
    assert kept(masked) == [[int(logits.argmax())]]


def test_a_row_s_outcome_does_not_depend_on_the_others() -> None:
    draw = torch.Generator().manual_seed(1)
    logits, p = torch.randn(4, VOCABULARY, generator=draw), torch.tensor([0.1, 0.99, 1.0, 0.5])
    together = kept(mask_unlikely(logits.clone(), None, p, by_sorting, CANDIDATES))
    alone = [
        kept(mask_unlikely(logits[i : i + 1].clone(), None, p[i : i + 1], by_sorting, CANDIDATES)) for i in range(4)
    ]
    assert together == [one[0] for one in alone]


def test_a_small_vocabulary_is_sorted() -> None:
    logits = torch.zeros(1, CANDIDATES * 2)
    with pytest.raises(AssertionError, match="sorted"):
        mask_unlikely(logits, None, torch.tensor([0.5]), by_neither, CANDIDATES)
