"""Muon (Jordan et al., 2024): momentum whose update is made orthogonal, for the matrices of a network's layers.

PyTorch's own orthogonalises in bfloat16 alone, which took half of a step where the processor has no instructions
for it; here it is done in `compute_dtype`. The updates are otherwise the same.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from pipelines.training.precision import compute_dtype

_QUINTIC = (3.4445, -4.7750, 2.0315)  # Jordan's coefficients
_ITERATIONS = 5
_TINY = 1e-7


class Muon(torch.optim.Optimizer):
    """Orthogonalised momentum. `lr` is the step of a square matrix; a taller one's is longer."""

    def __init__(
        self, matrices: Iterable[nn.Parameter], *, lr: float, weight_decay: float = 0.0, momentum: float = 0.95
    ) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Learn from the gradients. Raises ValueError for a closure, which is not supported."""
        if closure is not None:
            raise ValueError("Muon takes no closure")
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                held = self.state[matrix].setdefault("momentum_buffer", torch.zeros_like(matrix.grad))
                held.lerp_(matrix.grad, 1 - group["momentum"])
                update = orthogonal(matrix.grad.lerp(held, group["momentum"]))
                longer = max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                matrix.add_(update, alpha=-group["lr"] * longer)


def orthogonal(matrix: Tensor) -> Tensor:
    """Bring every singular value of a matrix near 1, by the quintic Newton-Schulz iteration; float32."""
    a, b, c = _QUINTIC
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).to(compute_dtype())
    x = x / x.norm().clamp(min=_TINY)
    for _ in range(_ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.T if tall else x).float()
