"""Where blocks are multiplied: on a GPU where this process has one, otherwise on the processor."""

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipelines.embeddings.similarity import Products

logger = logging.getLogger(__name__)


class ProcessorProducts:
    """Through NumPy."""

    name = "cpu"

    def cosines(self, left: "NDArray[np.float32]", right: "NDArray[np.float32]") -> "NDArray[np.float32]":
        """See Products."""
        product: NDArray[np.float32] = left @ right.T
        return product


class GpuProducts:
    """Through torch. Raises RuntimeError where the GPU fails or its memory is short."""

    name = "cuda"

    def __init__(self, torch: Any) -> None:
        self._torch = torch

    def cosines(self, left: "NDArray[np.float32]", right: "NDArray[np.float32]") -> "NDArray[np.float32]":
        """See Products. What was put on the GPU is free again when this returns."""
        torch = self._torch
        product = torch.from_numpy(left).cuda() @ torch.from_numpy(right).cuda().T
        found: NDArray[np.float32] = product.cpu().numpy()
        return found


def products(gpus: float) -> "Products":
    """The best that there is. gpus: what this process has reserved; without any, torch is not even imported."""
    if gpus > 0:
        try:
            import torch

            if torch.cuda.is_available():
                return GpuProducts(torch)
        except (ImportError, RuntimeError) as error:
            logger.warning("no GPU for embeddings: %s", error)
    return ProcessorProducts()
