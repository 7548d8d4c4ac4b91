"""What the training loop needs to know of a model: its data, its shape and its loss."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn

from pipelines.training.card import Card
from pipelines.training.decoding import Sampling
from pipelines.training.muon import Muon
from pipelines.training.recipe import Recipe, Stretch
from pipelines.training.tasks import Answer, Task
from pipelines.training.tokenizer import Tokenizer


class Batch(Protocol):
    """What a model learns from at once."""

    @property
    def size(self) -> int:
        """The number of tokens, padding included."""

    def to(self, device: torch.device) -> Self:
        """Move every tensor."""


class Course(Protocol):
    """How one model is made. `step` is the number of optimizer steps before; a curriculum goes by it."""

    recipe: Recipe
    extension: Recipe  # of a training that begins with a model that was made before
    earlier: tuple[Stretch, ...]  # the extensions that the committed copy had before this one

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What the model is measured by."""

    @property
    def card(self) -> Card:
        """What the model's card says beside what was measured."""

    def tokenizer(self, seed: int) -> Tokenizer:
        """Train the tokenizer on generated text."""

    def model(self) -> nn.Module:
        """Initialise the model, in float32 and on the CPU."""

    def optimizers(self, model: Any, recipe: Recipe) -> list[torch.optim.Optimizer]:
        """Choose optimizers; each group's `lr` is its highest rate."""

    def batches(self, rng: Random, tokenizer: Tokenizer, step: int) -> Iterator[Any]:
        """Draw a round of batches, some dozens."""

    def loss(self, model: Any, batch: Any, step: int) -> tuple[Tensor, Tensor]:
        """Return the loss to learn from, and the share of right predictions."""

    def export(self, model: Any, tokenizer: Tokenizer, out: Path) -> None:
        """Write the folder that Transformers and vLLM load, weights in bfloat16."""

    def load(self, folder: Path) -> tuple[Any, Tokenizer]:
        """Read what `export` wrote. Raises FileNotFoundError if the folder holds no model."""

    def answerer(self, model: Any, tokenizer: Tokenizer, sampling: Sampling | None = None) -> Answer:
        """Answer examples in this process, by default greedily."""


def muon_and_adam(matrices: list[nn.Parameter], model: nn.Module, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Learn the given matrices by Muon (Jordan et al., 2024) and the model's other parameters by AdamW."""
    chosen = {id(parameter) for parameter in matrices}
    others = [parameter for parameter in model.parameters() if id(parameter) not in chosen]
    return [
        Muon(matrices, lr=recipe.matrix_rate, weight_decay=recipe.weight_decay),
        torch.optim.AdamW(others, lr=recipe.other_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
    ]
