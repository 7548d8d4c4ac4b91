"""The training loop over a course of one matrix."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, Self

import pytest
import torch
from torch import Tensor, nn

from pipelines.training.loop import Report, Training, train
from pipelines.training.recipe import Architecture, Recipe
from pipelines.training.tokenizer import Tokenizer, train_byte_level

RECIPE = Recipe(name="one", shape=Architecture(vocab_size=300), steps=6, fall=0.5, warm_up_steps=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    values: Tensor

    @property
    def size(self) -> int:
        return self.values.numel()

    def to(self, device: torch.device) -> Self:
        return self


class OneMatrix:
    """Learns to bring a matrix to zero, and remembers by which steps it was taught."""

    recipe = RECIPE
    extension = replace(RECIPE, steps=4, other_rate=0.5)
    tasks = ()
    card: Any = None

    def __init__(self) -> None:
        self.lessons: list[int] = []

    def tokenizer(self, seed: int) -> Tokenizer:
        return train_byte_level(r"\w+", 300, ["<pad>"], ["a text", "another text"])

    def model(self) -> nn.Module:
        return nn.Linear(4, 4, bias=False)

    def optimizers(self, model: Any, recipe: Recipe) -> list[torch.optim.Optimizer]:
        return [torch.optim.SGD(model.parameters(), lr=recipe.other_rate)]

    def batches(self, rng: Random, tokenizer: Tokenizer, step: int) -> Iterator[Numbers]:
        for _ in range(2):
            yield Numbers(values=torch.tensor([rng.random()] * 4))

    def loss(self, model: Any, batch: Numbers, step: int) -> tuple[Tensor, Tensor]:
        self.lessons.append(step)
        loss = (model(batch.values) ** 2).sum()
        return loss, loss.detach()

    def export(self, model: Any, tokenizer: Tokenizer, out: Path) -> None:
        out.mkdir(exist_ok=True)
        torch.save(model.state_dict(), out / "weights.pt")
        tokenizer.save(str(out / "tokenizer.json"))

    def load(self, folder: Path) -> tuple[Any, Tokenizer]:
        model = self.model()
        model.load_state_dict(torch.load(folder / "weights.pt"))
        return model, Tokenizer.from_file(str(folder / "tokenizer.json"))

    def answerer(self, model: Any, tokenizer: Tokenizer, sampling: Any = None) -> Any:
        raise NotImplementedError


def ignore(report: Report) -> None:
    pass


def weights(training: Training) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in training.model.parameters()])


def test_a_training_runs_to_the_recipes_last_step(tmp_path: Path) -> None:
    training = Training.begin(OneMatrix(), tmp_path, seed=1)
    train(training, work=tmp_path, report=ignore)
    assert (training.step, training.course.lessons) == (6, [0, 1, 2, 3, 4, 5])


def test_one_that_was_cut_off_ends_where_it_would_have(tmp_path: Path) -> None:
    whole = Training.begin(OneMatrix(), tmp_path / "whole", seed=1)
    train(whole, work=tmp_path / "whole", report=ignore)

    class Cut(Exception):
        pass

    def cut(report: Report) -> None:
        if report.step == 4:
            raise Cut

    half = Training.begin(OneMatrix(), tmp_path / "half", seed=1)
    with pytest.raises(Cut):
        train(half, work=tmp_path / "half", report=cut)
    resumed = Training.resume(OneMatrix(), tmp_path / "half")
    train(resumed, work=tmp_path / "half", report=ignore)
    assert torch.equal(weights(resumed), weights(whole))


def test_an_extension_begins_with_the_exported_model_and_goes_by_the_later_lessons(tmp_path: Path) -> None:
    course = OneMatrix()
    first = Training.begin(course, tmp_path / "first", seed=1)
    train(first, work=tmp_path / "first", report=ignore)
    course.export(first.model, first.tokenizer, tmp_path / "exported")
    later = Training.begin(course, tmp_path / "later", seed=2, base=tmp_path / "exported")
    assert torch.equal(weights(later), weights(first))
    assert (later.steps, later.optimizers[0].param_groups[0]["highest"]) == (4, 0.5)
    course.lessons.clear()
    train(later, work=tmp_path / "later", report=ignore)
    assert course.lessons == [6, 7, 8, 9]


def test_an_extension_that_was_cut_off_stays_one(tmp_path: Path) -> None:
    course = OneMatrix()
    first = Training.begin(course, tmp_path, seed=1)
    course.export(first.model, first.tokenizer, tmp_path / "exported")
    Training.begin(course, tmp_path, seed=2, base=tmp_path / "exported").save(tmp_path)
    resumed = Training.resume(course, tmp_path)
    assert (resumed.recipe, resumed.lesson, resumed.steps) == (course.extension, 6, 4)


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    Training.begin(OneMatrix(), tmp_path, seed=1).save(tmp_path)
    other = OneMatrix()
    other.recipe = other.extension = replace(RECIPE, clip=2.0)
    with pytest.raises(ValueError, match="another recipe"):
        Training.resume(other, tmp_path)
