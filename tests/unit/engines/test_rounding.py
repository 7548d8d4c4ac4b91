"""Rounded weights: whole numbers whose product errs less than that of the nearest ones."""

import pytest
import torch

from cluster.engines.rounding import LIMIT, rounded


@pytest.fixture
def given() -> torch.Tensor:
    """What a product is given: directions that go together, as between the layers of a model."""
    made = torch.Generator().manual_seed(0)
    mixed = torch.randn(96, 96, generator=made) * torch.rand(96, generator=made)
    return torch.randn(600, 96, generator=made) @ mixed


@pytest.fixture
def weight() -> torch.Tensor:
    return torch.randn(40, 96, generator=torch.Generator().manual_seed(1))


def error(given: torch.Tensor, weight: torch.Tensor, other: torch.Tensor) -> float:
    """Of the product, relative to its size."""
    return float((given @ (weight - other).T).norm() / (given @ weight.T).norm())


def test_the_product_errs_less_than_with_each_weight_rounded_to_the_nearest(
    given: torch.Tensor, weight: torch.Tensor
) -> None:
    numbers, steps = rounded(weight, given.T @ given)
    assert (numbers.dtype, numbers.shape, steps.shape) == (torch.int8, weight.shape, (40,))
    assert int(numbers.abs().max()) <= LIMIT
    nearest = torch.round(weight / steps[:, None]).clamp(-LIMIT, LIMIT) * steps[:, None]
    unseen = given.roll(1, 0) + 0.5 * given
    for inputs in (given, unseen):
        assert error(inputs, weight, numbers * steps[:, None]) < 0.7 * error(inputs, weight, nearest)


def test_inputs_that_were_never_there_have_no_weights(given: torch.Tensor, weight: torch.Tensor) -> None:
    given[:, [3, 90]] = 0
    numbers, steps = rounded(weight, given.T @ given)
    assert not numbers[:, [3, 90]].any()
    assert error(given, weight, numbers * steps[:, None]) < 0.01


def test_more_inputs_than_were_seen_rows_are_rounded_all_the_same(weight: torch.Tensor) -> None:
    few = torch.randn(5, 96, generator=torch.Generator().manual_seed(2))
    numbers, steps = rounded(weight, few.T @ few)
    assert error(few, weight, numbers * steps[:, None]) < 0.01


def test_weights_of_nothing_stay_nothing(given: torch.Tensor, weight: torch.Tensor) -> None:
    weight[7] = 0
    numbers, steps = rounded(weight, given.T @ given)
    assert not numbers[7].any()
    assert torch.isfinite(steps).all()


def test_what_is_given_stays_as_it_was(given: torch.Tensor, weight: torch.Tensor) -> None:
    power = given.T @ given
    before = (weight.clone(), power.clone())
    rounded(weight, power)
    assert torch.equal(weight, before[0])
    assert torch.equal(power, before[1])
