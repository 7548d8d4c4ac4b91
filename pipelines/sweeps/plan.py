"""Every cell of a sweep, decided without running one: pure, and never held in memory as a whole.

A cell is one answer of one model to one prompt with one combination of parameters, once. Cells have a fixed
order: prompt by prompt, within a prompt model by model, then the parameters, the last named changing fastest,
then the repeats. So all configurations of one prompt come together, and the engine's prefix cache serves them.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b

from cluster.errors import ModelNotFound, NothingToRun, PlanTooLarge
from pipelines.sweeps.axis import Axis, Number
from pipelines.sweeps.spec import Prompt, SweepSpec

SHOWN_COUNT = 10**15
IGNORED_WHEN_GREEDY = ("top_p", "top_k", "min_p")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One answer to ask for. ordinal: its place in the plan, from 0. repeat: from 1. seed: None sends none."""

    id: str
    run_id: str
    ordinal: int
    model: str
    revision: str | None
    prompt_id: str
    prompt_hash: str
    text: str
    system: str | None
    parameters: Mapping[str, Number]
    repeat: int
    seed: int | None


@dataclass(frozen=True, kw_only=True)  # no slots: cached_property keeps the digests of the prompts
class Plan:
    """The cells of a spec. revisions: of the models' weights where they are known; they enter the cells' ids."""

    spec: SweepSpec
    revisions: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def run_id(self) -> str:
        """Hash of the spec without its name and description: the same question is the same run."""
        asked = self.spec.model_dump(mode="json", exclude_none=True, exclude={"name", "description"})
        return digest(asked, size=6)

    @cached_property
    def axes(self) -> dict[str, Axis]:
        """The swept and fixed parameters."""
        return self.spec.parameters.axes

    @cached_property
    def configurations(self) -> int:
        """Combinations of parameters."""
        count = 1
        for axis in self.axes.values():
            count *= axis.count
        return count

    @cached_property
    def total(self) -> int:
        """Cells in all; computed, never counted."""
        spec = self.spec
        return len(spec.prompts) * len(spec.models) * self.configurations * spec.repeats

    @cached_property
    def max_tokens(self) -> int | None:
        """Tokens that all answers take at most; None where only the models' context limits them."""
        axis = self.axes.get("max_tokens")
        return None if axis is None or not axis.count else int(self.total // axis.count * axis.total())

    def cell(self, ordinal: int) -> Cell:
        """The cell at a place from 0. Raises IndexError."""
        if not 0 <= ordinal < self.total:
            raise IndexError(ordinal)
        rest, repeat = divmod(ordinal, self.spec.repeats)
        rest, configuration = divmod(rest, self.configurations)
        prompt_at, model_at = divmod(rest, len(self.spec.models))
        model, revision = self.spec.models[model_at], self.revisions.get(self.spec.models[model_at])
        prompt, prompt_hash = self._prompts[prompt_at]
        parameters = self.parameters(configuration)
        cell_id = digest([model, revision, prompt_hash, parameters, repeat + 1], size=10)
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
            parameters=parameters,
            repeat=repeat + 1,
            seed=seed_of(cell_id) if self.spec.seeds else None,
        )

    def cells(self) -> Iterator[Cell]:
        """All cells in order."""
        return (self.cell(ordinal) for ordinal in range(self.total))

    def parameters(self, configuration: int) -> dict[str, Number]:
        """The parameters of one combination, by its place from 0."""
        found: dict[str, Number] = {}
        for name, axis in reversed(self.axes.items()):
            configuration, at = divmod(configuration, axis.count)
            found[name] = axis.at(at)
        return dict(reversed(found.items()))

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
                f"The sweep has {_counted(self.total)} cells, over the limit of {max_cells:,}",
                hint="fewer values or coarser steps; sweeps.max_cells is the limit",
            )
        for model in self.spec.models if served is not None else ():
            if model not in (served or ()):
                hint = f"served: {', '.join(served or ()) or 'none'}"
                raise ModelNotFound(f"The model {model!r} does not exist here", hint=hint, param="model")

    def notes(self) -> tuple[str, ...]:
        """What is degenerate about the plan, in sentences; nothing is left out because of it."""
        temperature = self.axes.get("temperature")
        if temperature is None or not _holds_zero(temperature):
            return ()
        found = []
        moot = [name for name in IGNORED_WHEN_GREEDY if name in self.axes and self.axes[name].count > 1]
        if moot:
            names = " and ".join(moot)
            found.append(f"at temperature 0 {names} changes nothing: those cells should give equal answers")
        if self.spec.repeats > 1:
            found.append(f"at temperature 0 the {self.spec.repeats} repeats of a cell should give equal answers")
        return tuple(found)

    def _empty(self) -> str:
        parts = {"models": len(self.spec.models), "prompts": len(self.spec.prompts), "repeats": self.spec.repeats}
        parts |= {name: axis.count for name, axis in self.axes.items()}
        return ", ".join(f"{name} is {0 if name == 'repeats' else 'empty'}" for name, n in parts.items() if not n)

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


def _counted(number: int) -> str:
    """A count to read; steps close to nothing make counts that fill pages."""
    return f"{number:,}" if number < SHOWN_COUNT else f"more than {SHOWN_COUNT:,}"


def _holds_zero(axis: Axis) -> bool:
    return axis.count > 0 and any(axis.at(place) == 0 for place in range(min(axis.count, 10_000)))
