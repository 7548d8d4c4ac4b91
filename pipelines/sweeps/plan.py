"""Every cell of a sweep, decided without running one: pure, and never held in memory as a whole.

A cell is one answer of one model to one prompt with one configuration, once. Cells have a fixed order: prompt by
prompt, within a prompt model by model, there the greedy anchor where the spec asks for one, then the
configurations, the last named changing fastest, then the repeats. So all configurations of one prompt come
together, and the engine's prefix cache serves them.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import Any

from cluster.errors import ModelNotFound, NothingToRun, PlanTooLarge
from cluster.stores.runs import LOCAL_OWNER
from pipelines.sweeps.axis import AnyAxis
from pipelines.sweeps.configurations import Configuration, Configurations, readable
from pipelines.sweeps.cuts import cuts_of, told
from pipelines.sweeps.parameters import LIMITS
from pipelines.sweeps.prompts import Prompt
from pipelines.sweeps.spec import SweepSpec

IGNORED_WHEN_GREEDY = ("top_p", "top_k", "min_p")
LOOKED_AT = 10_000  # values of an axis, or configurations, that a note is drawn from


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One answer to ask for. ordinal: its place in the plan, from 0. repeat: from 1. seed: None sends none.

    config_id: one for all prompts and repeats of a configuration and model. greedy: an anchor. retrieval: settings
    of the search for passages, None where the prompt goes out as it is.
    """

    id: str
    run_id: str
    ordinal: int
    model: str
    revision: str | None
    prompt_id: str
    prompt_hash: str
    text: str
    system: str | None
    parameters: Mapping[str, Any]
    repeat: int
    seed: int | None
    config_id: str
    greedy: bool = False
    retrieval: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)  # no slots: cached_property keeps the digests of the prompts
class Plan:
    """The cells of a spec. revisions: of the models' weights where they are known; they enter the cells' ids.

    owner: whose answers they will be. Two who ask the same have a run each: neither sees what the other got.
    """

    spec: SweepSpec
    revisions: Mapping[str, str] = field(default_factory=dict)
    owner: str = LOCAL_OWNER

    @cached_property
    def run_id(self) -> str:
        """Hash of what the spec asks: the same question is the same run, whatever its name, budget or scorers."""
        asked = self.spec.asked()
        return digest(asked if self.owner == LOCAL_OWNER else [self.owner, asked], size=6)

    @property
    def space(self) -> Configurations:
        """The configurations of each model."""
        return self.spec.space

    @property
    def axes(self) -> Mapping[str, AnyAxis]:
        """The swept and fixed parameters, and settings of retrieval as `retrieval.NAME`."""
        return self.space.axes

    @property
    def configurations(self) -> int:
        """Combinations of parameters and settings of retrieval."""
        return self.space.count

    @cached_property
    def anchors(self) -> int:
        """Greedy anchors in all."""
        there = self.spec.greedy_anchor and self._asked > 0
        return len(self.spec.prompts) * len(self.spec.models) if there else 0

    @cached_property
    def total(self) -> int:
        """Cells in all; computed, never counted."""
        return self._asked + self.anchors

    @property
    def _asked(self) -> int:
        spec = self.spec
        return len(spec.prompts) * len(spec.models) * self.configurations * spec.repeats

    @cached_property
    def max_tokens(self) -> int | None:
        """Tokens that all answers take at most; None where only the models' context limits them."""
        if not self._asked:
            return None
        of_one = self._limits()
        if of_one is None:
            return None
        greatest = max((self._greatest(name) for name in LIMITS), default=0)
        return self._asked // self.configurations * of_one + self.anchors * greatest

    def cell(self, ordinal: int) -> Cell:
        """The cell at a place from 0. Raises IndexError."""
        if not 0 <= ordinal < self.total:
            raise IndexError(ordinal)
        spec = self.spec
        anchors = 1 if self.anchors else 0
        rest, within = divmod(ordinal, self.configurations * spec.repeats + anchors)
        prompt_at, model_at = divmod(rest, len(spec.models))
        greedy = within < anchors
        at, repeat = divmod(within - anchors, spec.repeats)
        asked = self.anchor if greedy else self.space.at(at)
        model = spec.models[model_at]
        revision = self.revisions.get(model)
        prompt, prompt_hash = self._prompts[prompt_at]
        more = [asked.retrieval] if asked.retrieval is not None else []
        mark = ["greedy"] if greedy else []
        repeat = 1 if greedy else repeat + 1
        cell_id = digest([model, revision, prompt_hash, asked.parameters, repeat, *more, *mark], size=10)
        return Cell(
            id=cell_id,
            run_id=self.run_id,
            ordinal=ordinal,
            model=model,
            revision=revision,
            prompt_id=prompt.id or "",
            prompt_hash=prompt_hash,
            text=prompt.text,
            system=prompt.system,
            parameters=asked.parameters,
            repeat=repeat,
            seed=seed_of(cell_id) if spec.seeds else None,
            config_id=digest([model, asked.parameters, asked.retrieval, *mark], size=8),
            greedy=greedy,
            retrieval=asked.retrieval,
        )

    def model_of(self, ordinal: int) -> str:
        """The model of the cell at a place, without making the cell."""
        models = self.spec.models
        return models[ordinal // (self.configurations * self.spec.repeats + bool(self.anchors)) % len(models)]

    def cells(self) -> Iterator[Cell]:
        """All cells in order."""
        return (self.cell(ordinal) for ordinal in range(self.total))

    @cached_property
    def anchor(self) -> Configuration:
        """The greedy configuration: temperature 0, as long as the longest, all else as all cells have it.

        A parameter that varies is left to the model, and of settings of retrieval the first is taken.
        """
        first = self.space.at(0)
        fixed = {name: value for name, value in first.parameters.items() if self._fixed(name)}
        longest = {name: self._greatest(name) for name in LIMITS if name in first.parameters}
        kept = {name: value for name, value in fixed.items() if name not in (*IGNORED_WHEN_GREEDY, *LIMITS)}
        return Configuration(parameters={**kept, **longest, "temperature": 0.0}, retrieval=first.retrieval)

    def check(self, max_cells: int, served: Collection[str] | None = None) -> None:
        """Whether it may run. served: the models that are there, None where nobody knows.

        Raises NothingToRun for a plan without cells, PlanTooLarge for one above the limit, ModelNotFound.
        """
        if self.total == 0:
            raise NothingToRun(
                f"The sweep has no cells: {self._empty()}", hint="every part needs one value or more"
            )
        if self.total > max_cells:
            raise PlanTooLarge(
                f"The sweep has {readable(self.total)} cells, over the limit of {max_cells:,}",
                hint="fewer values or coarser steps; sweeps.max_cells is the limit",
            )
        judge = [] if self.spec.judge is None else [("judge.model", self.spec.judge.model)]
        for param, model in [*(("model", model) for model in self.spec.models), *judge]:
            if served is not None and model not in served:
                hint = f"served: {', '.join(served) or 'none'}"
                raise ModelNotFound(f"The model {model!r} does not exist here", hint=hint, param=param)

    def notes(self) -> tuple[str, ...]:
        """What is degenerate about the plan, in sentences; nothing is left out because of it."""
        found = []
        taken = self._taken()
        greedy = [one for one in taken if one.get("temperature") == 0] if taken is not None else None
        if self._holds_zero() if greedy is None else greedy:
            moot = [name for name in IGNORED_WHEN_GREEDY if self._varies(name, greedy)]
            if moot:
                names = " and ".join(moot)
                found.append(f"at temperature 0 {names} changes nothing: those cells should give equal answers")
            if self.spec.repeats > 1:
                repeats = self.spec.repeats
                found.append(f"at temperature 0 the {repeats} repeats of a cell should give equal answers")
        if self._overlong(taken):
            found.append("min_tokens is above the limit of an answer in some configurations: engines refuse those")
        rule = self.spec.stop_when
        if rule is not None:
            least = self._asked // self.spec.repeats * min(rule.first_look + 1, self.spec.repeats) + self.anchors
            found.append(f"stop_when may end repeats early: {least:,} cells run at least, {self.total:,} at most")
        if (cuts := told(cuts_of(self.space))) is not None:
            found.append(cuts)
        return (*found, *self.space.notes())

    def _taken(self) -> list[Mapping[str, Any]] | None:
        """What the configurations send, as many as anybody looks at; None for a whole grid, whose axes tell all."""
        if self.space.listed is None and self.configurations == self.space.grid:
            return None
        step = -(-self.configurations // LOOKED_AT) or 1
        return [self.space.at(place).parameters for place in range(0, self.configurations, step)]

    def _overlong(self, taken: Sequence[Mapping[str, Any]] | None) -> bool:
        if taken is not None:
            pairs = [(one.get("min_tokens"), one.get(name)) for one in taken for name in LIMITS]
        else:
            limits = [value for name in LIMITS if name in self.axes for value in self._values(name)]
            mins = self._values("min_tokens") if "min_tokens" in self.axes else []
            pairs = [(max(mins), min(limits))] if mins and limits else []
        return any(low is not None and most is not None and low > most for low, most in pairs)

    def _limits(self) -> int | None:
        """Tokens of one answer each of all configurations, summed; None where one has no limit."""
        name = next((name for name in LIMITS if name in self.axes), None)
        axis = self.axes[name] if name is not None else None
        if self.configurations == self.space.grid and self.space.listed is None:
            if axis is None or not axis.count or not hasattr(axis, "total"):
                return None
            return int(self.configurations // axis.count * axis.total())
        sent = (self.space.at(place).parameters for place in range(self.configurations))
        limits = [next((one[name] for name in LIMITS if name in one), None) for one in sent]
        return None if None in limits else sum(limit for limit in limits if limit is not None)

    def _greatest(self, name: str) -> int:
        """The greatest value that a limit takes, 0 where nothing sets it."""
        if name in self.axes:
            axis = self.axes[name]
            ends = {axis.count - 1} if axis.count else set()
            return int(max((axis.at(place) for place in {*range(min(axis.count, LOOKED_AT)), *ends}), default=0))
        return max((one.get(name, 0) for one in self.space.listed or ()), default=0)

    def _values(self, name: str) -> list[Any]:
        """The values that a parameter takes, as far as anybody looks; None among them where some send none."""
        if name in self.axes:
            axis = self.axes[name]
            return [axis.at(place) for place in range(min(axis.count, LOOKED_AT))]
        return [one.get(name) for one in (self.space.listed or ())[:LOOKED_AT]]

    def _fixed(self, name: str) -> bool:
        values = self._values(name)
        return bool(values) and all(value == values[0] for value in values)

    def _varies(self, name: str, among: Sequence[Mapping[str, Any]] | None) -> bool:
        values = self._values(name) if among is None else [one.get(name) for one in among]
        return any(value != values[0] for value in values)

    def _holds_zero(self) -> bool:
        return any(value == 0 and value is not None for value in self._values("temperature"))

    def _empty(self) -> str:
        parts = {"models": len(self.spec.models), "prompts": len(self.spec.prompts), "repeats": self.spec.repeats}
        parts |= {name: axis.count for name, axis in self.axes.items()}
        empty = [f"{name} is {0 if name == 'repeats' else 'empty'}" for name, n in parts.items() if not n]
        return ", ".join(empty) or f"constraints leave none of {readable(self.space.grid)} combinations"

    @cached_property
    def _prompts(self) -> tuple[tuple[Prompt, str], ...]:
        named = self.spec.named_prompts
        return tuple((prompt, digest([prompt.system, prompt.text], size=8)) for prompt in named)


def seed_of(cell_id: str) -> int:
    """The seed that a cell sends: below 2^31, which every engine and JSON reader holds exactly."""
    return int.from_bytes(blake2b(cell_id.encode(), digest_size=4).digest()) & 0x7FFF_FFFF


def digest(value: object, *, size: int) -> str:
    """A short hash, 2 × size hex characters, of anything that JSON can write."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=size).hexdigest()
