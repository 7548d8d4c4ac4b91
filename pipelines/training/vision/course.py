"""How spark-vision is made: first its tower from what every patch shows, then all of it from questions."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.training.card import Card
from pipelines.training.decoding import Sampling
from pipelines.training.muon import Muon
from pipelines.training.recipe import Recipe, Stretch
from pipelines.training.tasks import Answer
from pipelines.training.tokenizer import Tokenizer
from pipelines.training.vision.batches import Batch, one_round
from pipelines.training.vision.card import card_of
from pipelines.training.vision.curriculum import READING, draw_for_tokenizer, labels_alone, tower_alone
from pipelines.training.vision.decoding import answerer
from pipelines.training.vision.evaluate import TASKS
from pipelines.training.vision.export import export, load
from pipelines.training.vision.labels import FIRST_LETTER, HEADS, NONE
from pipelines.training.vision.model import Llava
from pipelines.training.vision.questions import questions
from pipelines.training.vision.shape import VisionArchitecture
from pipelines.training.vision.small_talk import small_talk
from pipelines.training.vision.tokenizer import train_tokenizer

SHAPE = VisionArchitecture()
RECIPE = Recipe(name="spark-vision", shape=SHAPE.text, steps=7_520, matrix_rate=0.01, other_rate=0.002)
EXTENSION = replace(RECIPE, steps=2_550, matrix_rate=0.006, other_rate=0.0012, fall=0.9)
EARLIER: tuple[Stretch, ...] = (Stretch(steps=2_650, seed=0),)

# Neighbouring pixels are mostly equal, so that 300 weights move a patch of one colour together: at 0.003 each, a
# step changed its sum by nearly 1, and after 240 steps no kind was told from another.
_PATCH_RATE = 0.0002
_LABELS_RATE = 0.001
_CORPUS = 6_000  # scenes for the tokenizer
_ROUND = 80  # batches
_IGNORED = -100
_LEARNT_STEP = 128
_LABELS_SHARE = 0.25  # of the loss, beside the answers' part, once answers are learnt
_HEAD_WEIGHTS = {"kind": 3.0, "colour": 1.0, "order": 1.0}
_OTHER_HEADS = 0.5
_LETTER_WEIGHT = 3.0  # of a patch that shows a letter: a word covers few patches, a large shape many
_GROUND_WEIGHT = 0.2  # of a patch that shows the background alone


class VisionCourse:
    """The training of spark-vision."""

    recipe = RECIPE
    extension = EXTENSION
    earlier: tuple[Stretch, ...] = EARLIER
    tasks = TASKS

    @property
    def card(self) -> Card:
        """What the model's card says beside what was measured."""
        return card_of(SHAPE)

    def tokenizer(self, seed: int) -> Tokenizer:
        """Train the tokenizer on questions and answers."""
        rng = Random(seed)  # noqa: S311  # data, not secrets
        return train_tokenizer(self.recipe.shape.vocab_size, _corpus(rng))

    def model(self) -> Llava:
        """Initialise the model."""
        return Llava(SHAPE)

    def optimizers(self, model: Llava, recipe: Recipe) -> list[torch.optim.Optimizer]:
        """Muon for the matrices of layers and projector, AdamW for the rest, slower where inputs are alike."""
        layers = (*model.tower.layers, *model.text.layers, model.projector)
        matrices = [parameter for layer in layers for parameter in layer.parameters() if parameter.ndim == 2]
        slow = [*model.tower.patch.parameters(), model.tower.position, *model.labels.parameters()]
        chosen = {id(parameter) for parameter in (*matrices, *slow)}
        others = [parameter for parameter in model.parameters() if id(parameter) not in chosen]
        groups = [
            {"params": others, "lr": recipe.other_rate},
            {"params": [model.tower.position, *model.labels.parameters()], "lr": _LABELS_RATE},
            {"params": list(model.tower.patch.parameters()), "lr": _PATCH_RATE},
        ]
        return [
            Muon(matrices, lr=recipe.matrix_rate, weight_decay=recipe.weight_decay),
            torch.optim.AdamW(groups, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
        ]

    def batches(self, rng: Random, tokenizer: Tokenizer, step: int) -> Iterator[Batch]:
        """Draw a round of the step's mixture."""
        return one_round(rng, tokenizer, SHAPE.tower, step, _ROUND)

    def loss(self, model: Llava, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """The labels' loss, and after the first stages the answers' beside it, with the share of right ones."""
        if batch.pixels is None or batch.labels is None:
            return _answers(model, batch, None)
        seen = model.see(batch.pixels)
        labels_loss, labels_hits = _labels(
            model.labels, seen.detach() if labels_alone(step) else seen, batch.labels, step
        )
        if tower_alone(step):
            return labels_loss, labels_hits
        loss, hits = _answers(model, batch, seen)
        return loss + _LABELS_SHARE * labels_loss, hits

    def export(self, model: Llava, tokenizer: Tokenizer, out: Path) -> None:
        """Write the folder that Transformers and vLLM load."""
        export(model, tokenizer, out)

    def load(self, folder: Path) -> tuple[Llava, Tokenizer]:
        """Read what `export` wrote. Raises FileNotFoundError if the folder holds no model."""
        return load(SHAPE, folder)

    def answerer(self, model: Llava, tokenizer: Tokenizer, sampling: Sampling | None = None) -> Answer:
        """Answer in this process, greedily. Raises ValueError for a temperature above zero."""
        return answerer(model, tokenizer, sampling)


def _corpus(rng: Random) -> Iterator[str]:
    for _ in range(_CORPUS):
        for asked in questions(rng, draw_for_tokenizer(rng)):
            yield f"{asked.question}\n{asked.answer}"
        spoken = small_talk(rng)
        yield f"{spoken.question}\n{spoken.answer}"


def _answers(model: Llava, batch: Batch, seen: Tensor | None) -> tuple[Tensor, Tensor]:
    hidden = model.read(batch.tokens, seen, image_at=batch.image_at, mask=batch.mask, places=batch.places)
    places = batch.learnt[:, 1:].flatten().nonzero()[:, 0]
    filling = -len(places) % _LEARNT_STEP
    targets = functional.pad(batch.tokens[:, 1:].flatten()[places], (0, filling), value=_IGNORED)
    logits = model.text.logits(hidden[:, :-1].flatten(0, 1)[functional.pad(places, (0, filling))])
    loss = functional.cross_entropy(logits, targets, ignore_index=_IGNORED)
    return loss, (logits.argmax(-1) == targets).sum() / (targets != _IGNORED).sum()


def _labels(head: nn.Linear, seen: Tensor, labels: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """The mean loss over the heads, and the share of things' patches whose kind is right."""
    wanted = labels.flatten(0, 1).long()
    things = wanted[:, 0] > 0
    weight = torch.where(things, 1.0, _GROUND_WEIGHT)
    if step >= READING:
        weight = torch.where(wanted[:, 0] >= FIRST_LETTER, _LETTER_WEIGHT, weight)
    parts = (
        head(functional.layer_norm(seen.float(), seen.shape[-1:]))
        .flatten(0, 1)
        .float()
        .split(list(HEADS.values()), dim=-1)
    )
    losses = []
    for name, logits, targets in zip(HEADS, parts, wanted.unbind(-1), strict=True):
        each = functional.cross_entropy(logits, targets, ignore_index=NONE, reduction="none")
        mean = (each * weight).sum() / (weight * (targets != NONE)).sum().clamp(min=1)
        losses.append(mean * _HEAD_WEIGHTS.get(name, _OTHER_HEADS))
    hits = (parts[0].argmax(-1) == wanted[:, 0])[things].float().mean()
    return torch.stack(losses).sum(), hits
