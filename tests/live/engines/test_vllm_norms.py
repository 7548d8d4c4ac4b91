"""The norms that vLLM takes from us on a CPU are its own, to rounding."""

from types import SimpleNamespace

import pytest
import torch

from cluster.engines import vllm_norms

EPSILON = 1e-5
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


@pytest.fixture(scope="module")
def engine() -> SimpleNamespace:
    """What the engine's arguments are told, twice."""
    told = SimpleNamespace(ir_op_priority=SimpleNamespace())
    vllm_norms.install(told)  # type: ignore[arg-type]  # stands in for the arguments
    vllm_norms.install(told)  # type: ignore[arg-type]
    return told


def test_the_engine_prefers_ours_and_keeps_vllms(engine: SimpleNamespace) -> None:
    assert vars(engine.ir_op_priority) == {name: [vllm_norms.PROVIDER, "native"] for name in vllm_norms.OPERATIONS}


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("kind", TOLERANCE, ids=str)
@pytest.mark.parametrize("rows", [1, 16])
def test_a_norm_is_vllms_own(kind: torch.dtype, rows: int) -> None:
    from vllm.ir.ops import fused_add_rms_norm, rms_norm

    generator = torch.Generator().manual_seed(rows)
    x, more = (torch.randn(rows, 256, generator=generator).to(kind) for _ in range(2))
    weight = torch.randn(256, generator=generator).to(kind)
    found = {}
    for provider in ("native", vllm_norms.PROVIDER):
        with rms_norm.set_priority([provider, "native"]), fused_add_rms_norm.set_priority([provider, "native"]):
            alone = rms_norm(x.clone(), weight, EPSILON)
            found[provider] = (alone, *fused_add_rms_norm(x.clone(), more.clone(), weight, EPSILON))
    for native, ours in zip(*found.values(), strict=True):
        torch.testing.assert_close(ours, native, rtol=TOLERANCE[kind], atol=TOLERANCE[kind])


@pytest.mark.usefixtures("engine")
def test_what_the_kernel_does_not_take_is_left_to_vllm() -> None:
    from vllm.ir.ops import rms_norm

    x = torch.randn(4, 64)
    with rms_norm.set_priority([vllm_norms.PROVIDER, "native"]):
        assert rms_norm.dispatch(x, torch.ones(64), EPSILON).provider == vllm_norms.PROVIDER
        for args in ((x, None, EPSILON), (x, torch.ones(64), EPSILON, 32), (x.t(), torch.ones(4), EPSILON)):
            assert rms_norm.dispatch(*args).provider == "native"
