"""Weights as int8, each rounded so that later ones make up for the error of those before (GPTQ).

Rounding to the nearest errs by the same amount in every weight; what a product errs by is that error times what it
is given. Frantar, Ashkboos, Hoefler, Alistarh: GPTQ, 2022 (https://arxiv.org/abs/2210.17323), algorithm 1, with the
columns in the order of their inputs' power.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

LIMIT = 127
BLOCK = 64  # columns whose errors are passed on together
DAMPING = 0.01  # of the mean power, added to each input's: without it a direction never seen would divide by zero


def rounded(weight: "Tensor", power: "Tensor") -> "tuple[Tensor, Tensor]":
    """The weights as int8, shape (outputs, inputs), and the step of each output, float32, shape (outputs,).

    weight: float32, shape (outputs, inputs). power: the sum of the outer products of inputs that the product was
    seen to be given, float32, shape (inputs, inputs). An input that was never there has weights of 0.
    """
    import torch

    gone = power.diagonal() == 0
    diagonal = power.diagonal().masked_fill(gone, 1.0)
    order = torch.argsort(diagonal, descending=True)
    diagonal = diagonal + DAMPING * diagonal.mean()
    damped = power - torch.diag(power.diagonal()) + torch.diag(diagonal)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped[order][:, order]))
    passing = torch.linalg.cholesky(inverse, upper=True)
    left = weight.masked_fill(gone, 0.0).T[order].contiguous()  # an input's weights lie side by side
    steps = (left.abs().amax(0) / LIMIT).clamp(min=1e-12)
    found = torch.zeros_like(left)
    for first in range(0, len(left), BLOCK):
        last = min(first + BLOCK, len(left))
        errors = torch.zeros_like(left[first:last])
        for at in range(first, last):
            torch.round(left[at] / steps, out=found[at]).clamp_(-LIMIT, LIMIT)
            error = errors[at - first].copy_(left[at]).addcmul_(found[at], steps, value=-1).div_(passing[at, at])
            left[at + 1 : last].addr_(passing[at, at + 1 : last], error, alpha=-1)
        left[last:].addmm_(passing[first:last, last:].T, errors, alpha=-1)
    return found[torch.argsort(order)].T.contiguous().to(torch.int8), steps
