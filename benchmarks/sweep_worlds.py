"""Runs whose truth is known, for `sweep_statistics.py` and `sweep_stopping.py`."""

import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NORMAL, SKEWED, BOUNDED, ORDINAL = "normal", "skewed", "bounded", "ordinal"
UNEQUAL, GAPS = "unequal spread", "gaps"
WORLDS = (NORMAL, SKEWED, BOUNDED, ORDINAL, UNEQUAL, GAPS)
"""normal: all is. skewed: everything that varies is exponential. bounded: 0 to 100, a third of the answers at 100.
ordinal: five grades. unequal spread: the last configuration varies four times as much as the first. gaps: a tenth
of the cells failed.
"""

MISSING = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Simulates runs. Standard deviations in points: of prompts, of prompt x configuration, of repeats.

    Each prompt has its own spread: its deviations are scaled by a factor between half and twice.
    """

    prompts: int
    configurations: int
    repeats: int
    between: float = 8.0
    interaction: float = 2.0
    noise: float = 5.0
    shape: str = NORMAL

    def means(self, random: np.random.Generator, datasets: int, true: Floats | None = None) -> Floats:
        """(dataset, prompt, configuration): means over repeats. true: each configuration's own mean."""
        shape = (datasets, self.prompts, self.configurations)
        scale = np.exp(random.uniform(-np.log(2), np.log(2), (datasets, self.prompts, 1)))
        level = self.between * self._drawn(random, (datasets, self.prompts, 1))
        if self.shape == UNEQUAL:
            scale = scale * np.geomspace(0.5, 2, self.configurations)
        cell = level + scale * self.interaction * self._drawn(random, shape) + (0.0 if true is None else true)
        if self.shape in (BOUNDED, ORDINAL):
            noise = self.noise * random.standard_normal((*shape, self.repeats))
            answers = cell[..., None] + scale[..., None] * noise
            return np.asarray(self._graded(answers).mean(axis=3))
        if self.shape == SKEWED:
            noise = self._drawn(random, (*shape, self.repeats)).mean(axis=3)
        else:
            noise = random.standard_normal(shape) / np.sqrt(self.repeats)
        found = cell + scale * self.noise * noise
        if self.shape == GAPS:
            found[random.random(shape) < MISSING] = np.nan
        return np.asarray(found)

    def rows(self, random: np.random.Generator, datasets: int) -> Floats:
        """(dataset, prompt, configuration, repeat)."""
        shape = (datasets, self.prompts, self.configurations, self.repeats)
        cells = self.interaction * random.standard_normal(shape[:3])
        level = self.between * random.standard_normal((datasets, self.prompts, 1, 1))
        return level + cells[..., None] + self.noise * random.standard_normal(shape)

    def _drawn(self, random: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        """Of mean 0 and standard deviation 1."""
        return random.exponential(1, shape) - 1 if self.shape == SKEWED else random.standard_normal(shape)

    def _graded(self, answers: Floats) -> Floats:
        if self.shape == BOUNDED:
            return np.clip(95 + answers, 0, 100)
        return 25 * np.clip(np.round(2.5 + answers / 8), 0, 4)


def table(
    prompts: int = 40, models: int = 5, temperatures: int = 10, top_ps: int = 5, repeats: int = 10
) -> pa.Table:
    """Stored rows as a sweep leaves them."""

    random = np.random.default_rng(0)
    grid = np.meshgrid(*(np.arange(n) for n in (prompts, models, temperatures, top_ps, repeats)), indexing="ij")
    prompt, model, temperature, top_p, repeat = (each.ravel() for each in grid)
    n = len(prompt)
    base = 50 + 8 * random.standard_normal(prompts)[prompt] + 0.3 * temperature + 1.5 * model
    names = ("readability", "coherence", "creativity", "diversity", "novelty", "lexical_diversity")
    names = (*names, "completeness", "length_appropriateness", "specificity", "overall")
    scores = np.round(base[:, None] + 5 * random.standard_normal((n, len(names))), 3).tolist()
    heat, nucleus = np.linspace(0.1, 1, temperatures).round(2), np.linspace(0.5, 1, top_ps).round(3)
    return pa.table(
        {
            "run_id": ["r"] * n,
            "ordinal": np.arange(n),
            "model": [f"m{place}" for place in model],
            "prompt_id": [f"p{place}" for place in prompt],
            "prompt_hash": [f"h{place}" for place in prompt],
            "temperature": heat[temperature],
            "top_p": nucleus[top_p],
            "parameters": ["{}"] * n,
            "config_id": [f"{a}-{b}-{c}" for a, b, c in zip(model, temperature, top_p, strict=True)],
            "repeat": repeat + 1,
            "latency_ms": random.gamma(5, 100, n) + 20 * temperature,
            "completion_tokens": random.integers(10, 100, n),
            "scores": [json.dumps(dict(zip(names, row, strict=True))) for row in scores],
            "error_code": pa.array([None] * n, pa.string()),
        }
    )
