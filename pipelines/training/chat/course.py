"""How spark-chat is made: a curriculum of generated dialogues, of which the assistant's turns are learnt."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import torch
from torch import Tensor
from torch.nn import functional

from pipelines.training.card import Card
from pipelines.training.chat.batches import Batch, one_round
from pipelines.training.chat.card import card_of
from pipelines.training.chat.evaluate import TASKS
from pipelines.training.chat.export import export, load
from pipelines.training.chat.mixture import LAST, draw
from pipelines.training.chat.recipe import EARLIER, EXTENSION, RECIPE
from pipelines.training.course import muon_and_adam
from pipelines.training.decoding import Sampling, answerer
from pipelines.training.model import Llama
from pipelines.training.prompts import render
from pipelines.training.recipe import Recipe, Stretch
from pipelines.training.tasks import Answer
from pipelines.training.tokenizer import Tokenizer, train_tokenizer

_CORPUS = 16_000  # dialogues for the tokenizer, some 4 MB: more of it no longer changes the merges much
_IGNORED = -100  # the target that cross-entropy skips
_LEARNT_STEP = 128  # as widths in batches.py: few shapes, few kernels to build


class ChatCourse:
    """The training of spark-chat."""

    recipe = RECIPE
    extension = EXTENSION
    earlier: tuple[Stretch, ...] = EARLIER
    tasks = TASKS

    @property
    def card(self) -> Card:
        """What the model's card says beside what was measured."""
        return card_of(self.recipe)

    def tokenizer(self, seed: int) -> Tokenizer:
        """Train the tokenizer on the mixture of the last stage, which draws from every generator."""
        rng = Random(seed)  # noqa: S311  # data, not secrets
        return train_tokenizer(
            self.recipe.shape.vocab_size, (render(draw(rng, LAST).messages) for _ in range(_CORPUS))
        )

    def model(self) -> Llama:
        """Initialise the model."""
        return Llama(self.recipe.shape)

    def optimizers(self, model: Llama, recipe: Recipe) -> list[torch.optim.Optimizer]:
        """Muon for the layers' matrices, AdamW for embeddings and norms."""
        matrices = [parameter for parameter in model.layers.parameters() if parameter.ndim == 2]
        return muon_and_adam(matrices, model, recipe)

    def batches(self, rng: Random, tokenizer: Tokenizer, step: int) -> Iterator[Batch]:
        """Draw a round of the step's mixture."""
        return one_round(rng, tokenizer, step, self.recipe.shape.context)

    def loss(self, model: Llama, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """Cross-entropy over the tokens to learn alone, and the share that the model would have chosen."""
        del step  # the curriculum is in the data
        hidden = model(batch.tokens[:, :-1])
        places = batch.learnt[:, 1:].flatten().nonzero()[:, 0]
        filling = -len(places) % _LEARNT_STEP  # rows that only fill up the shape are ignored
        targets = functional.pad(batch.tokens[:, 1:].flatten()[places], (0, filling), value=_IGNORED)
        logits = model.logits(hidden.flatten(0, 1)[functional.pad(places, (0, filling))])
        loss = functional.cross_entropy(logits, targets, ignore_index=_IGNORED)
        return loss, (logits.argmax(-1) == targets).sum() / (targets != _IGNORED).sum()

    def export(self, model: Llama, tokenizer: Tokenizer, out: Path) -> None:
        """Write the folder that Transformers and vLLM load."""
        export(model, tokenizer, self.recipe, out)

    def load(self, folder: Path) -> tuple[Llama, Tokenizer]:
        """Read what `export` wrote. Raises FileNotFoundError if the folder holds no model."""
        return load(self.recipe, folder)

    def answerer(self, model: Llama, tokenizer: Tokenizer, sampling: Sampling | None = None) -> Answer:
        """Answer in this process, by default greedily."""
        return answerer(model, tokenizer, sampling)
