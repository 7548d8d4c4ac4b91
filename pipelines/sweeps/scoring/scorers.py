"""What to score and how: which scores, their weights in `overall`, and what they need from outside."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cluster.errors import BadRequest
from pipelines.sweeps.scoring.coherence import COHERENCE
from pipelines.sweeps.scoring.coverage import COMPLETENESS_2
from pipelines.sweeps.scoring.creativity import CREATIVITY, NOVELTY
from pipelines.sweeps.scoring.custom import CustomScorer, installed, load
from pipelines.sweeps.scoring.diversity import DIVERSITY
from pipelines.sweeps.scoring.judge import Ask, Judge
from pipelines.sweeps.scoring.length import LENGTH
from pipelines.sweeps.scoring.lexical import LEXICAL_DIVERSITY
from pipelines.sweeps.scoring.overall import OVERALL, WEIGHTS
from pipelines.sweeps.scoring.readability import READABILITY
from pipelines.sweeps.scoring.specificity import SPECIFICITY
from pipelines.sweeps.scoring_spec import JUDGED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Embed = Callable[[list[str]], "NDArray[np.float32]"]
"""Texts to unit vectors, one a row."""

VERSIONS: Mapping[str, str] = {
    "readability": READABILITY,
    "coherence": COHERENCE,
    "creativity": CREATIVITY,
    "diversity": DIVERSITY,
    "novelty": NOVELTY,
    "lexical_diversity": LEXICAL_DIVERSITY,
    "completeness": COMPLETENESS_2,
    "length_appropriateness": LENGTH,
    "specificity": SPECIFICITY,
    "overall": OVERALL,
}
"""The scores that are always there, and their versions."""


HEAVIEST = 1e300  # of all weights: times a score it is a float still


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorers:
    """What to compute. names: of scores. weights: of scores in `overall`.

    embed: coherence and novelty are absent without it; embedder names its model and is stored with them.
    judge, ask: the score `judge` is absent without both.
    """

    names: tuple[str, ...] = tuple(VERSIONS)
    weights: Mapping[str, float] = field(default_factory=lambda: dict(WEIGHTS))
    embed: Embed | None = None
    embedder: str | None = None
    custom: Sequence[CustomScorer] = ()
    judge: Judge | None = None
    ask: Ask | None = None

    def wants(self, *names: str) -> bool:
        """Whether any of these scores is asked for."""
        return any(name in self.names for name in names)


def known_names() -> tuple[str, ...]:
    """Every score that a spec may name: ours, `judge`, and the installed scorers."""
    return tuple(dict.fromkeys((*VERSIONS, JUDGED, *installed())))


def scorers_of(
    names: Iterable[str] | None = None,
    *,
    weights: Mapping[str, float] | None = None,
    embed: Embed | None = None,
    embedder: str | None = None,
    judge: Judge | None = None,
    ask: Ask | None = None,
) -> Scorers:
    """What a spec asks for. names: None is all of ours, with the judge where there is one.

    Raises BadRequest, with `param`, for a name that nothing has, one that is taken, and for weights that are no
    numbers from 0 up, all 0, or of scores that are not asked for; and where a judge or weights would go unused.
    """
    own = installed()
    asked = tuple(
        dict.fromkeys((*VERSIONS, JUDGED) if names is None and judge else VERSIONS if names is None else names)
    )
    if not asked:
        raise BadRequest("No scorer is named", hint=f"known: {', '.join(known_names())}", param="scorers")
    for name in asked:
        if name not in VERSIONS and name != JUDGED and name not in own:
            raise BadRequest(
                f"There is no scorer {name[:80]!r}", hint=f"known: {', '.join(known_names())}", param="scorers"
            )
    if JUDGED in asked and judge is None:
        raise BadRequest("The scorer 'judge' needs a judge: a model and criteria", param="scorers")
    if judge is not None and JUDGED not in asked:
        raise BadRequest("There is a judge, and the scorers do not name 'judge'", param="scorers")
    return Scorers(
        names=asked,
        weights=_weights(asked, weights),
        embed=embed,
        embedder=embedder,
        custom=tuple(load(own[name]) for name in asked if name in own and name not in VERSIONS and name != JUDGED),
        judge=judge,
        ask=ask,
    )


def _weights(asked: Sequence[str], weights: Mapping[str, float] | None) -> dict[str, float]:
    if weights is None:
        return {name: weight for name, weight in WEIGHTS.items() if name in asked}
    if "overall" not in asked:
        raise BadRequest("Weights make up 'overall', which the scorers do not name", param="weights")
    for name, weight in weights.items():
        if name == "overall" or not _of(name, asked):
            raise BadRequest(
                f"The weight of {name[:80]!r} is of no score that is asked for",
                hint=f"asked for: {', '.join(asked)}",
                param="weights",
            )
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:
            raise BadRequest(f"The weight of {name!r} is not a number from 0 up", param=f"weights.{name}")
    if not sum(weights.values()) <= HEAVIEST:
        raise BadRequest(f"The weights together are over {HEAVIEST:g}", param="weights")
    if not any(weights.values()):
        raise BadRequest("All weights are 0", hint="give one score a weight above 0", param="weights")
    return dict(weights)


def _of(name: str, asked: Sequence[str]) -> bool:
    """Whether a score is asked for: by its name, or as one of the several of a scorer of one's own or the judge."""
    return name in asked or any(name.startswith(f"{scorer}_") for scorer in asked if scorer not in VERSIONS)
