"""Products of a CPU in int8: oneDNN multiplies, and a kernel of vLLM's makes the numbers of each row in one pass.

A product's inputs are rounded to 256 steps between the least and the largest of their row. The few inputs that are
ten times as large as the others (a trait of BERT's normalisations) would leave the others two steps each, so they
are multiplied in float32 beside it. docs/decisions/0018 has the figures.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cluster.engines.rounding import rounded

if TYPE_CHECKING:
    from torch import Tensor

APART = 4  # inputs of each product that stay in float32: eight were no better
KERNEL = "dynamic_scaled_int8_quant"
MIDDLE = 128  # of a byte: the kernel's numbers have a sign, oneDNN's have none


@cache
def int8_gains() -> bool:
    """Whether this processor has instructions for int8 (AVX-512 VNNI), and vLLM's kernel is here."""
    import torch

    return bool(torch.cpu._is_avx512_supported() and torch.cpu._is_vnni_supported() and _kernel())


def _kernel() -> bool:
    """Load it as `vllm.platforms.cpu` does, but without vLLM's Python, which takes seconds."""
    import torch

    if not hasattr(torch.ops._C, KERNEL) and (spec := find_spec("vllm")) is not None:
        name = "_C" if torch.cpu._is_avx512_bf16_supported() else "_C_AVX512"
        for folder in spec.submodule_search_locations or ():
            for library in sorted(Path(folder).glob(f"{name}.*so")):
                try:
                    torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
                except OSError:  # built for another torch, or another kind of machine
                    return False
    return hasattr(torch.ops._C, KERNEL)


class Exact(Protocol):
    """A product in float32: weight (outputs, inputs) and bias (outputs,)."""

    @property
    def weight(self) -> "Tensor":
        """The weights."""

    @property
    def bias(self) -> "Tensor":
        """What is added."""

    def __call__(self, given: "Tensor") -> "Tensor":
        """Shape (rows, inputs) to (rows, outputs)."""


class Seen:
    """A product that notes what it is given. power: the sum of the inputs' outer products; most: the largest."""

    def __init__(self, product: Exact) -> None:
        self.product = product
        self.power: Tensor | None = None
        self.most: Tensor | None = None

    def __call__(self, given: "Tensor") -> "Tensor":
        """The product of what is given, as it was."""
        import torch

        most = given.abs().amax(0)
        self.most = most if self.most is None else torch.maximum(self.most, most)
        if self.power is None:
            self.power = given.new_zeros((len(most), len(most)))
        self.power.addmm_(given.T, given)
        return self.product(given)


class Int8Linear:
    """A product with its weights in int8. Raises ValueError if it was not seen to be given anything."""

    def __init__(self, seen: Seen) -> None:
        import torch

        if seen.power is None or seen.most is None:
            raise ValueError("the product was never given anything")
        exact = seen.product
        self._apart = torch.topk(seen.most, min(APART, len(seen.most))).indices
        power = seen.power.clone()
        power[self._apart] = 0
        power[:, self._apart] = 0
        numbers, self._steps = rounded(exact.weight, power)
        self._packed = torch.ops.onednn.qlinear_prepack(numbers, None)
        self._zeros = torch.zeros(len(numbers), dtype=torch.int32)
        shifted = numbers.to(torch.int32).sum(1) * self._steps  # what a row's zero point adds to each output
        self._beside = torch.cat([exact.weight[:, self._apart].T, -shifted[None], exact.bias[None]])

    def __call__(self, given: "Tensor") -> "Tensor":
        """float32, shape (rows, inputs), to (rows, outputs). `given` is as before when it is done."""
        import torch

        apart = given[:, self._apart]
        given[:, self._apart] = 0
        numbers = torch.empty_like(given, dtype=torch.int8)
        steps = given.new_empty((len(given), 1))
        zeros = torch.empty_like(steps, dtype=torch.int32)
        torch.ops._C.dynamic_scaled_int8_quant(numbers, given, steps, zeros)
        given[:, self._apart] = apart
        made: Tensor = torch.ops.onednn.qlinear_pointwise(
            numbers.view(torch.uint8).bitwise_xor_(MIDDLE),
            *(1.0, MIDDLE),  # of the inputs: each row has a step of its own, below
            self._packed,
            self._steps,
            self._zeros,
            None,
            *(1.0, 0, torch.float32),  # of the outputs
            *("none", [], ""),  # nothing done with them
        )
        beside = torch.cat([apart, steps * zeros, torch.ones_like(steps)], 1)
        return made.mul_(steps).addmm_(beside, self._beside)
