"""The training loop: a number of minutes, resumable at any moment."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.training.chat.batches import Batch, one_round
from pipelines.training.model import Llama
from pipelines.training.recipe import Recipe
from pipelines.training.tokenizer import Tokenizer, train_tokenizer

_CHECKPOINT_EVERY_S = 30.0  # writing 40 MB takes a tenth of a second
IGNORED = -100  # the target that cross-entropy skips
_LEARNT_STEP = 128  # as widths in batches.py: few shapes, few kernels to build
_CHECKPOINT = "checkpoint.pt"
_TOKENIZER = "tokenizer.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Where a training stands; times in seconds of training, over all its sessions."""

    step: int
    tokens: int
    elapsed_s: float
    progress: float
    loss: float
    hits: float  # the share of learnt tokens that the model would have chosen


@dataclass(slots=True, kw_only=True)
class Training:
    """A model in training, with all that a checkpoint holds."""

    recipe: Recipe
    tokenizer: Tokenizer
    model: Llama
    optimizers: list[torch.optim.Optimizer]
    rng: Random
    seed: int
    step: int = 0
    tokens: int = 0
    elapsed_s: float = 0.0
    plans: list[float] = field(default_factory=list)  # the minutes asked for, in order: they shape the schedule

    @classmethod
    def begin(cls, recipe: Recipe, work: Path, seed: int) -> "Training":
        """Start afresh: train the tokenizer, initialise the model."""
        work.mkdir(parents=True, exist_ok=True)
        (work / _CHECKPOINT).unlink(missing_ok=True)
        tokenizer = train_tokenizer(recipe.architecture.vocab_size, seed)
        tokenizer.save(str(work / _TOKENIZER))
        torch.manual_seed(seed)
        model = Llama(recipe.architecture)
        return cls(
            recipe=recipe,
            tokenizer=tokenizer,
            model=model,
            optimizers=_optimizers(model, recipe),
            rng=Random(seed),  # noqa: S311  # data, not secrets
            seed=seed,
        )

    @classmethod
    def resume(cls, recipe: Recipe, work: Path) -> "Training":
        """Go on from the last checkpoint.

        Raises:
            FileNotFoundError: if there is none.
            ValueError: if it is of another architecture.
        """
        saved: dict[str, Any] = torch.load(work / _CHECKPOINT, weights_only=False)  # our own file
        if saved["architecture"] != recipe.architecture:
            raise ValueError(f"the checkpoint in {work} is of another architecture: start with --fresh")
        model = Llama(recipe.architecture)
        model.load_state_dict(saved["model"])
        optimizers = _optimizers(model, recipe)
        for optimizer, state in zip(optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        rng = Random()  # noqa: S311  # data, not secrets
        rng.setstate(saved["rng"])
        return cls(
            recipe=recipe,
            tokenizer=Tokenizer.from_file(str(work / _TOKENIZER)),
            model=model,
            optimizers=optimizers,
            rng=rng,
            seed=saved["seed"],
            step=saved["step"],
            tokens=saved["tokens"],
            elapsed_s=saved["elapsed_s"],
            plans=saved["plans"],
        )

    def save(self, work: Path) -> None:
        """Write a checkpoint; a crash while writing leaves the one before."""
        saved = {
            "architecture": self.recipe.architecture,
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "rng": self.rng.getstate(),
            "seed": self.seed,
            "step": self.step,
            "tokens": self.tokens,
            "elapsed_s": self.elapsed_s,
            "plans": self.plans,
        }
        partial = work / f"{_CHECKPOINT}.partial"
        torch.save(saved, partial)
        partial.replace(work / _CHECKPOINT)


def has_checkpoint(work: Path) -> bool:
    """Say whether a training can be resumed from a folder."""
    return (work / _CHECKPOINT).exists()


def train(training: Training, *, minutes: float, work: Path, report: Callable[[Report], None]) -> None:
    """Train until `minutes` of training have passed in all, and leave a checkpoint.

    Interrupted, it loses what came after the last checkpoint: half a minute at most.
    """
    limit_s = minutes * 60
    if training.plans[-1:] != [minutes]:
        training.plans.append(minutes)
    saved_at = training.elapsed_s
    while training.elapsed_s < limit_s:
        progress = training.elapsed_s / limit_s
        losses: list[float] = []
        hits: list[float] = []
        for batch in one_round(training.rng, training.tokenizer, training.recipe, progress):
            started = time.perf_counter()
            rate = schedule(training.elapsed_s / limit_s, training.recipe)
            loss, hit = _step(training, batch, rate)
            losses.append(loss)
            hits.append(hit)
            training.step += 1
            training.tokens += batch.tokens.numel()
            training.elapsed_s += time.perf_counter() - started
        report(
            Report(
                step=training.step,
                tokens=training.tokens,
                elapsed_s=training.elapsed_s,
                progress=progress,
                loss=sum(losses) / len(losses),
                hits=sum(hits) / len(hits),
            )
        )
        # Between rounds alone, so that the saved randomness is that of a round's beginning.
        if training.elapsed_s - saved_at > _CHECKPOINT_EVERY_S or training.elapsed_s >= limit_s:
            training.save(work)
            saved_at = training.elapsed_s


def schedule(progress: float, recipe: Recipe) -> float:
    """Return the share of the highest learning rate: a linear rise, then half a cosine."""
    if progress < recipe.warm_up:
        return max(progress / recipe.warm_up, 0.01)
    falling = min((progress - recipe.warm_up) / (1 - recipe.warm_up), 1.0)
    return recipe.final_share + (1 - recipe.final_share) * 0.5 * (1 + math.cos(math.pi * falling))


def _optimizers(model: Llama, recipe: Recipe) -> list[torch.optim.Optimizer]:
    matrices = [parameter for parameter in model.layers.parameters() if parameter.ndim == 2]
    chosen = {id(parameter) for parameter in matrices}
    others = [parameter for parameter in model.parameters() if id(parameter) not in chosen]
    return [
        torch.optim.Muon(matrices, lr=recipe.matrix_rate, weight_decay=recipe.weight_decay),
        torch.optim.AdamW(others, lr=recipe.other_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
    ]


def _step(training: Training, batch: Batch, rate: float) -> tuple[float, float]:
    """Learn from one batch; return its loss and its share of hits."""
    recipe = training.recipe
    for optimizer, highest in zip(training.optimizers, (recipe.matrix_rate, recipe.other_rate), strict=True):
        for group in optimizer.param_groups:
            group["lr"] = highest * rate
    with torch.autocast("cpu", torch.bfloat16):
        logits, targets = predictions(training.model, batch)
    loss = functional.cross_entropy(logits, targets, ignore_index=IGNORED)
    loss.backward()  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
    nn.utils.clip_grad_norm_(training.model.parameters(), recipe.clip)
    for optimizer in training.optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    hits = (logits.argmax(-1) == targets).sum() / (targets != IGNORED).sum()
    return loss.item(), hits.item()


def predictions(model: Llama, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return logits [learnt, vocab] and targets [learnt] of the tokens to learn alone.

    Rows that only fill up the shape have the target `IGNORED`.
    """
    hidden = model(batch.tokens[:, :-1])
    places = batch.learnt[:, 1:].flatten().nonzero()[:, 0]
    filling = -len(places) % _LEARNT_STEP
    targets = batch.tokens[:, 1:].flatten()[places]
    logits = model.logits(hidden.flatten(0, 1)[functional.pad(places, (0, filling))])
    return logits, functional.pad(targets, (0, filling), value=IGNORED)
