"""The treatments of a sweep's design: its configurations, read from their cells."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.analysis.codes import codes_of

if TYPE_CHECKING:
    import pyarrow as pa

NAMED = {"temperature": float, "top_p": float, "max_tokens": int}
"""Parameters with columns of their own, and what they are: a CSV's 1 is a temperature of 1.0."""

Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """One treatment. cells: its rows, errors among them. retrieval: settings of the retriever, or None."""

    id: str
    model: str
    parameters: Mapping[str, Any]
    retrieval: Mapping[str, Any] | None
    greedy: bool
    cells: int
    errors: int

    @property
    def settings(self) -> dict[str, Any]:
        """All that a factor may be: model, the parameters, and the retrieval settings as `retrieval.NAME`."""
        found = {f"retrieval.{name}": value for name, value in (self.retrieval or {}).items()}
        return {"model": self.model, **self.parameters, **found}

    @property
    def label(self) -> str:
        """To read: `spark-chat, temperature=0.7, top_p=0.9`."""
        named = [f"{name}={value}" for name, value in self.settings.items() if name != "model"]
        return ", ".join([self.model, *named] if self.model else named)


def config_id_of(model: str, parameters: Mapping[str, Any], retrieval: Mapping[str, Any] | None = None) -> str:
    """An id for a configuration whose rows carry none: a hash of what it is made of."""
    said = json.dumps([model, parameters, retrieval], sort_keys=True, separators=(",", ":"))
    return blake2b(said.encode(), digest_size=8).hexdigest()


def configuration_codes(rows: "pa.Table") -> tuple[Codes, Codes]:
    """Codes by config_id where all rows carry one, else by what a configuration is made of; and first rows."""
    made_of = ["model", *NAMED, "parameters", "retrieval", "greedy"]
    stored = "config_id" in rows.column_names and rows.column("config_id").null_count == 0
    return codes_of(rows, ["config_id", "greedy"] if stored else made_of)


def configurations_of(firsts: "pa.Table", cells: Codes, errors: Codes) -> tuple[Configuration, ...]:
    """The configurations by their first rows, with how many cells each has."""
    found = []
    for place, row in enumerate(firsts.to_pylist()):
        parameters: dict[str, Any] = {
            name: kind(row[name]) for name, kind in NAMED.items() if row.get(name) is not None
        }
        parameters |= json.loads(row.get("parameters") or "{}")
        model = row.get("model") or ""
        retrieval = json.loads(row["retrieval"]) if row.get("retrieval") else None
        found.append(
            Configuration(
                id=str(row.get("config_id") or config_id_of(model, parameters, retrieval)),
                model=model,
                parameters=parameters,
                retrieval=retrieval,
                greedy=bool(row.get("greedy")),
                cells=int(cells[place]),
                errors=int(errors[place]),
            )
        )
    return tuple(found)


def factors_of(configurations: Sequence[Configuration]) -> tuple[str, ...]:
    """The names of the settings that take several values, in the plan's order; anchors have no say."""
    values: dict[str, set[str]] = {}
    settings = [configuration.settings for configuration in configurations if not configuration.greedy]
    for name in dict.fromkeys(name for each in settings for name in each):
        values[name] = {json.dumps(each[name], sort_keys=True) if name in each else "" for each in settings}
    return tuple(name for name, found in values.items() if len(found) > 1)
