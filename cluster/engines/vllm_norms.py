"""Root-mean-square norms on a CPU as one kernel each.

vLLM's CPU build brings the kernels, and its models do not use them: each norm is seven small operations there,
whose calls are a tenth of a step of a small model. vLLM lets others provide an operation, and be preferred.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vllm.engine.arg_utils import AsyncEngineArgs

PROVIDER = "heliostat_cpu"
OPERATIONS = ("rms_norm", "fused_add_rms_norm")


def install(engine: "AsyncEngineArgs") -> None:
    """Have the engine prefer the kernels, in this process and in what is forked from it. Again it adds nothing."""
    import vllm._custom_ops  # noqa: F401 - loads the kernels
    from torch import Tensor, empty_like, ops
    from vllm.ir.ops import fused_add_rms_norm, rms_norm

    if not all(hasattr(ops._C, name) for name in OPERATIONS):
        return
    norm, add_and_norm = (getattr(ops._C, name).default for name in OPERATIONS)

    def takes(x: Tensor, weight: Tensor | None, epsilon: float, variance_size: int | None = None) -> bool:
        del epsilon
        return variance_size is None and weight is not None and weight.dtype == x.dtype and x.is_contiguous()

    def takes_sum(
        x: Tensor, x_residual: Tensor, weight: Tensor | None, epsilon: float, variance_size: int | None = None
    ) -> bool:
        return takes(x, weight, epsilon, variance_size) and x_residual.is_contiguous()

    def normed(x: Tensor, weight: Tensor | None, epsilon: float, variance_size: int | None = None) -> Tensor:
        del variance_size
        out = empty_like(x)
        norm(out, x, weight, epsilon)
        return out

    def summed(
        x: Tensor, x_residual: Tensor, weight: Tensor | None, epsilon: float, variance_size: int | None = None
    ) -> tuple[Tensor, Tensor]:
        del variance_size
        add_and_norm(x, x_residual, weight, epsilon)
        return x, x_residual

    if PROVIDER not in rms_norm.impls:
        rms_norm.register_impl(PROVIDER, supports_args=takes)(normed)
        fused_add_rms_norm.register_impl(PROVIDER, supports_args=takes_sum, inplace=True)(summed)
    for name in OPERATIONS:
        setattr(engine.ir_op_priority, name, [PROVIDER, "native"])
