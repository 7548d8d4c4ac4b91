"""Two configurations' answers to one prompt, side by side before a judge: which pairs there are, and who wins.

The answers of two configurations to a prompt are paired by their repeat. Each pair is asked about in both orders.
Verdicts that are stored count while the texts are what they were; killed at any moment, the same command goes on.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import combinations
from typing import Any

from cluster.errors import BadRequest
from cluster.stores.run_pairs import RunPairs
from cluster.stores.run_parts import by_prompt
from cluster.stores.runs import Run
from pipelines.sweeps.scoring.judge import PAIRS, Ask, Judge, PairVerdict

AT_ONCE = 32  # pairs whose verdicts are stored together: what a kill can cost
COLUMNS = (
    "cell_id",
    "ordinal",
    "model",
    "prompt_id",
    "prompt_hash",
    "temperature",
    "top_p",
    "max_tokens",
    "parameters",
    "retrieval",
    "config_id",
    "greedy",
    "repeat",
    "prompt",
    "system",
    "text",
    "error_code",
)
COUNTED = tuple(name for name in COLUMNS if name not in ("prompt", "system", "text"))

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two cells of one prompt and repeat, in the plan's order."""

    first: Row
    second: Row

    @property
    def prompt(self) -> str:
        """What both were asked."""
        return "\n".join(part for part in (self.first["system"], self.first["prompt"]) if part)

    @property
    def material(self) -> str:
        """A hash of all that the judge reads of them."""
        said = json.dumps([self.prompt, self.first["text"], self.second["text"]])
        return blake2b(said.encode(), digest_size=10).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What there is to judge. pairs: of answers. questions: at most, as equal texts need none."""

    pairs: int
    configurations: int
    prompts: int
    questions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What came of it. asked: pairs that were asked about now. kept: whose verdicts were there already.

    set_aside: damaged parts, by name.
    """

    pairs: int
    asked: int
    kept: int
    set_aside: Sequence[str]


def work_of(run: Run, judge: Judge, baseline: str | None = None) -> Work:
    """What there is to judge in a run, without its texts. Raises BadRequest where that is nothing."""
    good = [row for row in run.table(COUNTED).to_pylist() if _takes_part(row)]
    groups: dict[tuple[str, int], set[str]] = {}
    for row in good:
        groups.setdefault((row["prompt_id"], row["repeat"]), set()).add(_config_of(row))
    sizes = [len(group) for group in groups.values() if baseline is None or baseline in group]
    pairs = sum(size * (size - 1) // 2 if baseline is None else size - 1 for size in sizes)
    if not pairs:
        raise BadRequest(
            f"The sweep {run.id} has no two configurations that answered the same prompt",
            hint="pairs are of configurations; repeats and greedy anchors are none",
        )
    return Work(
        pairs=pairs,
        configurations=len(_config_ids(good)),
        prompts=len({row["prompt_id"] for row in good}),
        questions=2 * judge.repeats * pairs,
    )


def judge_pairs(
    run: Run,
    judge: Judge,
    ask: Ask,
    *,
    revision: str | None = None,
    baseline: str | None = None,
    watch: Callable[[int], None] = lambda _: None,
) -> Judged:
    """Have every pair judged; the caller must hold the run. watch: told how many pairs have a verdict.

    revision: of the judge's weights. baseline: the id of the configuration that the others stand against. Raises
    what `ask` raises, after the verdicts so far are stored, and DiskFull.
    """
    store = RunPairs(run)
    set_aside = store.set_aside()
    about = {
        "judge": judge.id,
        "judge_revision": revision,
        "judge_prompt_hash": judge.prompt_hash,
        "judge_repeats": judge.repeats,
        "version": PAIRS,
        "criteria": json.dumps(dict(judge.criteria), ensure_ascii=False),
    }
    known = _known(store, about)
    asked = kept = 0
    waiting: list[Pair] = []
    for pair in _pairs(run, baseline):
        if known.get((pair.first["cell_id"], pair.second["cell_id"])) == pair.material:
            kept += 1
            continue
        waiting.append(pair)
        if len(waiting) == AT_ONCE:
            store.write(_verdicts(waiting, judge, ask, about))
            asked, waiting = asked + len(waiting), []
            watch(asked + kept)
    if waiting:
        store.write(_verdicts(waiting, judge, ask, about))
        asked += len(waiting)
    watch(asked + kept)
    store.compact()
    return Judged(pairs=asked + kept, asked=asked, kept=kept, set_aside=set_aside)


def config_named(run: Run, prefix: str) -> str:
    """The run's configuration whose id begins so. Raises BadRequest for none or several."""
    ids = _config_ids(run.table(COUNTED).to_pylist())
    found = [one for one in ids if one.startswith(prefix)] if prefix else []
    if prefix in found:
        return prefix
    if not found:
        raise BadRequest(
            f"No configuration's id begins with {prefix!r}",
            hint="heliostat sweep export ID cells.csv has them in its column config_id",
            param="baseline",
        )
    if len(found) > 1:
        raise BadRequest(
            f"{prefix!r} is the beginning of several configurations: {', '.join(found[:5])}", param="baseline"
        )
    return found[0]


def _config_ids(rows: Sequence[Row]) -> list[str]:
    """The configurations of rows, anchors aside, in the plan's order."""
    return list(dict.fromkeys(_config_of(row) for row in rows if not row["greedy"]))


def _pairs(run: Run, baseline: str | None) -> Iterator[Pair]:
    """All pairs, prompt by prompt: the texts of a few thousand rows are in memory at a time."""
    for table in by_prompt(run.files(), None):
        groups: dict[tuple[str, int], dict[str, Row]] = {}
        for row in table.select(COLUMNS).to_pylist():
            if _takes_part(row) and row["text"] is not None:
                groups.setdefault((row["prompt_id"], row["repeat"]), {}).setdefault(_config_of(row), row)
        for cells in groups.values():
            for (one, first), (other, second) in combinations(cells.items(), 2):
                if baseline is None or baseline in (one, other):
                    yield Pair(first=first, second=second)


def _takes_part(row: Row) -> bool:
    return row["error_code"] is None and not row["greedy"]


def _config_of(row: Row) -> str:
    """A row's configuration; made where an older version stored none."""
    if row["config_id"] is not None:
        return str(row["config_id"])
    from pipelines.analysis.frame import config_id_of
    from pipelines.sweeps.tally import parameters_of

    retrieval = json.loads(row["retrieval"]) if row["retrieval"] else None
    return config_id_of(row["model"], parameters_of(row), retrieval)


def _known(store: RunPairs, about: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """What this judge has judged: the material of each pair of cells."""
    rows = store.table().select([*about, "first_cell", "second_cell", "material"]).to_pylist()
    mine = (row for row in rows if all(row[name] == value for name, value in about.items()))
    return {(row["first_cell"], row["second_cell"]): row["material"] for row in mine}


def _verdicts(pairs: Sequence[Pair], judge: Judge, ask: Ask, about: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of verdicts. Equal texts are ties that nobody is asked about, and equal pairs are asked about once."""
    different: dict[str, Pair] = {}
    for pair in pairs:
        if pair.first["text"] != pair.second["text"]:
            different.setdefault(pair.material, pair)
    questions = [
        question
        for pair in different.values()
        for question in judge.pair_questions(pair.prompt, pair.first["text"], pair.second["text"])
    ]
    replies = list(ask(questions)) if questions else []
    size = 2 * judge.repeats
    found = {
        material: judge.pair_verdict(replies[place * size : (place + 1) * size])
        for place, material in enumerate(different)
    }
    same = PairVerdict(winner="tie", one=0, other=0, tie=judge.repeats, swayed=0, broken=0)
    now = datetime.now(UTC)
    return [{**about, **_row(pair, found.get(pair.material, same)), "judged": now} for pair in pairs]


def _row(pair: Pair, verdict: PairVerdict) -> dict[str, Any]:
    first, second = pair.first, pair.second
    return {
        "prompt_id": first["prompt_id"],
        "prompt_hash": first["prompt_hash"],
        "repeat": first["repeat"],
        "first_config": _config_of(first),
        "second_config": _config_of(second),
        "first_cell": first["cell_id"],
        "second_cell": second["cell_id"],
        "material": pair.material,
        "identical": first["text"] == second["text"],
        "winner": {"one": "first", "other": "second", "tie": "tie"}.get(verdict.winner or ""),
        "first_wins": verdict.one,
        "second_wins": verdict.other,
        "ties": verdict.tie,
        "swayed": verdict.swayed,
        "broken": verdict.broken,
    }
