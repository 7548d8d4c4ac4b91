"""The training loop: a number of steps, resumable at any moment and repeatable.

The learning rate rises, stays, and falls over the last part of the steps as one minus the root of what is gone of
that part (warm-up, stable, decay: Hu et al., 2024, MiniCPM; the root: Hägele et al., 2024). What stands before the
fall does not depend on how many steps there will be, so that a training may be extended afterwards and is the same
as one begun with more steps.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import nn

from pipelines.training.course import Course
from pipelines.training.precision import device, mixed_precision
from pipelines.training.recipe import Recipe
from pipelines.training.tokenizer import Tokenizer

_CHECKPOINT_EVERY_S = 30.0  # writing 40 MB takes a tenth of a second
_STABLE = "stable.pt"  # the last checkpoint before the rate falls: what an extension goes on from
_FALLING = "falling.pt"
_TOKENIZER = "tokenizer.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Where a training stands; time in seconds of training, over all its sessions."""

    step: int
    steps: int
    tokens: int
    elapsed_s: float
    loss: float
    hits: float  # the share of learnt tokens that the model would have chosen


@dataclass(slots=True, kw_only=True)
class Training:
    """A model in training, with all that a checkpoint holds."""

    course: Course
    recipe: Recipe
    tokenizer: Tokenizer
    model: nn.Module
    optimizers: list[torch.optim.Optimizer]
    rng: Random
    seed: int
    steps: int  # in all
    step: int = 0
    tokens: int = 0
    elapsed_s: float = 0.0

    @property
    def lesson(self) -> int:
        """The step that the curriculum goes by: an extension goes on where the recipe ends."""
        return self.step + (self.course.recipe.steps if self.recipe == self.course.extension else 0)

    @classmethod
    def begin(
        cls, course: Course, work: Path, *, seed: int, steps: int | None = None, base: Path | None = None
    ) -> "Training":
        """Start afresh: train the tokenizer, initialise the model; or both are those that `base` was exported with.

        steps: in all; None takes the recipe's.

        Raises:
            FileNotFoundError: if `base` holds no model.
        """
        torch.manual_seed(seed)
        model, tokenizer = course.load(base) if base else (course.model(), course.tokenizer(seed))
        work.mkdir(parents=True, exist_ok=True)
        for name in (_STABLE, _FALLING):
            (work / name).unlink(missing_ok=True)
        tokenizer.save(str(work / _TOKENIZER))
        rng = Random(seed)  # noqa: S311  # data, not secrets
        recipe = course.extension if base else course.recipe
        return cls._of(course, recipe, tokenizer, model, rng, seed=seed, steps=steps or recipe.steps)

    @classmethod
    def resume(cls, course: Course, work: Path, *, steps: int | None = None) -> "Training":
        """Go on towards `steps`, by default the recipe's, from the last checkpoint that leads there.

        Raises:
            FileNotFoundError: if there is none.
            ValueError: if it is of another recipe, or has gone further than that.
        """
        recipe = torch.load(work / _STABLE, weights_only=False)["recipe"]  # our own file
        if recipe not in (course.recipe, course.extension):
            raise ValueError(f"the checkpoint in {work} is of another recipe: start with --fresh")
        steps = steps or recipe.steps
        saved = _checkpoint(work, steps)
        if saved["step"] > max(steps, falls_at(recipe, steps)):
            raise ValueError(f"the checkpoint in {work} has gone {saved['step']} steps, {steps} were asked for")
        rng = Random()  # noqa: S311  # data, not secrets
        rng.setstate(saved["rng"])
        tokenizer = Tokenizer.from_file(str(work / _TOKENIZER))
        training = cls._of(course, recipe, tokenizer, course.model(), rng, seed=saved["seed"], steps=steps)
        training.model.load_state_dict(saved["model"])
        for optimizer, state in zip(training.optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        training.step, training.tokens = saved["step"], saved["tokens"]
        training.elapsed_s = saved["elapsed_s"]
        return training

    @classmethod
    def _of(
        cls,
        course: Course,
        recipe: Recipe,
        tokenizer: Tokenizer,
        model: nn.Module,
        rng: Random,
        *,
        seed: int,
        steps: int,
    ) -> "Training":
        model = model.to(device()).train()
        optimizers = course.optimizers(model, recipe)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["highest"] = group["lr"]
        return cls(
            course=course,
            recipe=recipe,
            tokenizer=tokenizer,
            model=model,
            optimizers=optimizers,
            rng=rng,
            seed=seed,
            steps=steps,
        )

    def save(self, work: Path) -> None:
        """Write a checkpoint; a crash while writing leaves the one before."""
        saved = {
            "recipe": self.recipe,
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "rng": self.rng.getstate(),
            "seed": self.seed,
            "steps": self.steps,
            "step": self.step,
            "tokens": self.tokens,
            "elapsed_s": self.elapsed_s,
        }
        name = _STABLE if self.step <= falls_at(self.recipe, self.steps) else _FALLING
        partial = work / f"{name}.partial"
        torch.save(saved, partial)
        partial.replace(work / name)


def has_checkpoint(work: Path) -> bool:
    """Say whether a training can be resumed from a folder."""
    return (work / _STABLE).exists()


def train(training: Training, *, work: Path, report: Callable[[Report], None]) -> None:
    """Train to the last step, and leave a checkpoint.

    Interrupted, it loses what came after the last checkpoint: half a minute at most, and a round.
    """
    saved_at, place = time.monotonic(), device()
    while training.step < training.steps:
        # Between rounds alone, so that the saved randomness is that of a round's beginning.
        if training.step == 0 or time.monotonic() - saved_at > _CHECKPOINT_EVERY_S:
            training.save(work)
            saved_at = time.monotonic()
        started = time.perf_counter()
        losses: list[float] = []
        hits: list[float] = []
        for batch in training.course.batches(training.rng, training.tokenizer, training.lesson):
            loss, hit = _step(training, batch.to(place))
            losses.append(loss)
            hits.append(hit)
            training.tokens += batch.size
            if training.step == training.steps:
                break
        training.elapsed_s += time.perf_counter() - started
        report(
            Report(
                step=training.step,
                steps=training.steps,
                tokens=training.tokens,
                elapsed_s=training.elapsed_s,
                loss=sum(losses) / len(losses),
                hits=sum(hits) / len(hits),
            )
        )
    training.save(work)


def falls_at(recipe: Recipe, steps: int) -> int:
    """The step from which the learning rate falls."""
    return round(steps * (1 - recipe.fall))


def schedule(step: int, steps: int, recipe: Recipe) -> float:
    """Return the share of the highest learning rate at a step: a linear rise, a plain, and the fall."""
    if step < recipe.warm_up_steps:
        return (step + 1) / recipe.warm_up_steps
    falls = falls_at(recipe, steps)
    if step < falls:
        return 1.0
    return max(1.0 - math.sqrt((step - falls) / (steps - falls)), recipe.final_share)


def _step(training: Training, batch: Any) -> tuple[float, float]:
    """Learn from one batch; return its loss and its share of hits."""
    rate = schedule(training.step, training.steps, training.recipe)
    for optimizer in training.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["highest"] * rate
    with mixed_precision(device()):
        loss, hits = training.course.loss(training.model, batch, training.lesson)
    loss.backward()  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
    nn.utils.clip_grad_norm_(training.model.parameters(), training.recipe.clip)
    for optimizer in training.optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    training.step += 1
    return loss.item(), hits.item()


def _checkpoint(work: Path, steps: int) -> dict[str, Any]:
    """The checkpoint of the falling part of a training of as many steps; else that from before it."""
    if (work / _FALLING).exists():
        saved: dict[str, Any] = torch.load(work / _FALLING, weights_only=False)  # our own file
        if saved["steps"] == steps:
            return saved
    before: dict[str, Any] = torch.load(work / _STABLE, weights_only=False)
    return before
