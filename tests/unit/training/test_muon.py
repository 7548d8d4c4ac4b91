import pytest
import torch
from torch import nn

from pipelines.training.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(16, 16), (48, 16), (16, 40)])
def test_every_singular_value_comes_near_one(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
    assert values.min() > 0.5
    assert values.max() < 1.5


def test_the_updates_are_those_of_pytorchs_own() -> None:
    torch.manual_seed(0)
    start, gradients = torch.randn(24, 8), [torch.randn(24, 8) for _ in range(3)]
    learnt = []
    for kind in (Muon, torch.optim.Muon):
        matrix = nn.Parameter(start.clone())
        optimizer = kind([matrix], lr=0.02, weight_decay=0.05)
        for gradient in gradients:
            matrix.grad = gradient.clone()
            optimizer.step()
        learnt.append(matrix.detach())
    # PyTorch's orthogonalises in bfloat16.
    assert torch.allclose(learnt[0], learnt[1], atol=2e-3)


def test_a_closure_is_refused() -> None:
    with pytest.raises(ValueError, match="closure"):
        Muon([nn.Parameter(torch.zeros(2, 2))], lr=0.1).step(lambda: 0.0)
