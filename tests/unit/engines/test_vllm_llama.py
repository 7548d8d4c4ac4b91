"""Which steps of a model the layers without detours may take. What a step is told is vLLM's, cut to what is read.

Which models they may take is looked up in vLLM's own modules, so it is a live test's.
"""

from types import SimpleNamespace
from typing import Any

import pytest

from cluster.engines.vllm_llama import Stack, fits

NAMES = ("model.layers.0.self_attn.attn", "model.layers.1.self_attn.attn")
STACK = Stack(
    layers=(),
    names=NAMES,
    last=None,
    rotary=None,
    heads=1,
    key_heads=1,
    size=1,
    inner=1,
    epsilon=0,
    scale=1,
    isa="vec",
)  # type: ignore[arg-type]  # the step is looked at, and no number of the model


def a_step(*, tokens: int = 3, groups: int = 1) -> Any:
    """A step of so many tokens, in which the layers' caches are in one group or in two."""
    told = [SimpleNamespace(num_actual_tokens=tokens) for _ in range(groups)]
    slots = [object() for _ in range(groups)]
    return SimpleNamespace(
        attn_metadata={name: told[place % groups] for place, name in enumerate(NAMES)},
        slot_mapping={name: slots[place % groups] for place, name in enumerate(NAMES)},
    )


def test_a_step_with_a_row_a_token_is_taken() -> None:
    assert fits(STACK, a_step(), (3,))


@pytest.mark.parametrize("shape", [(4,), (3, 3)])
def test_a_step_with_padding_or_with_positions_of_three_dimensions_is_not(shape: tuple[int, ...]) -> None:
    assert not fits(STACK, a_step(), shape)


def test_layers_whose_caches_are_in_groups_of_their_own_are_not_run_as_one() -> None:
    """Each would have read and written the blocks of the first one's group."""
    assert not fits(STACK, a_step(groups=2), (3,))


def test_a_step_that_tells_a_layer_nothing_is_not_taken() -> None:
    nothing = a_step()
    nothing.slot_mapping = {}
    assert not fits(STACK, nothing, (3,))
    without = a_step()
    del without.attn_metadata[NAMES[0]]
    assert not fits(STACK, without, (3,))
