"""`auto` follows what the processor computes faster, and says the same each time."""

from typing import Any

import pytest
import torch

from cluster.engines import precision


@pytest.fixture(autouse=True)
def _anew() -> None:
    precision.bfloat16_gains.cache_clear()


@pytest.mark.parametrize(("bfloat16_s", "gains"), [(0.5, True), (0.79, True), (0.81, False), (1.8, False)])
def test_bfloat16_is_taken_where_its_products_take_clearly_less_time(
    monkeypatch: pytest.MonkeyPatch, bfloat16_s: float, gains: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    takes = {torch.float32: 1.0, torch.bfloat16: bfloat16_s}
    monkeypatch.setattr(precision, "_product_s", takes.__getitem__)
    assert precision.bfloat16_gains() is gains
    assert precision.torch_dtype("auto", "cpu") is (torch.bfloat16 if gains else torch.float32)
    assert precision.on_cpu("auto") == ("auto" if gains else "float32")


def test_a_processor_without_instructions_for_it_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: False)
    monkeypatch.setattr(precision, "_product_s", lambda _: pytest.fail("measured"))
    assert precision.bfloat16_gains() is False


def test_what_is_measured_leaves_the_threads_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def product(_: Any) -> float:
        seen.append(torch.get_num_threads())
        return 1.0

    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(precision, "_product_s", product)
    before = torch.get_num_threads()
    precision.bfloat16_gains()
    assert (seen, torch.get_num_threads()) == ([1, 1], before)


def test_a_product_takes_time() -> None:
    assert 0 < precision._product_s(torch.float32) < 1


def test_what_the_operator_says_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "bfloat16_gains", lambda: False)
    assert precision.on_cpu("bfloat16") == "bfloat16"
    assert precision.torch_dtype("bfloat16", "cpu") is torch.bfloat16
