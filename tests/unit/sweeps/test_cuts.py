"""Sizes of chunks as axes of a sweep: what is planned, what is refused, and what is cut before the first cell."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cluster.config import resolve
from cluster.errors import BadRequest
from cluster.settings.pipelines import DocumentSettings
from cluster.settings.tree import Settings
from cluster.stores.run_state import PAUSED
from pipelines.analysis.effects import anova
from pipelines.analysis.frame import frame_of
from pipelines.documents.recut import Recutter, Sizes, Stopped, Watch
from pipelines.sweeps.cuts import MOST_CUTS, Cut, check_cuts, cuts_of
from pipelines.sweeps.plan import Plan
from pipelines.sweeps.recutting import recut_collections
from pipelines.sweeps.session import Session
from pipelines.sweeps.spec import SweepSpec, read_spec
from tests.unit.analysis.sweeps import rows_of
from tests.unit.documents.recut_house import Recutting
from tests.unit.sweeps.driving import House
from tests.unit.sweeps.test_spec import SPEC


def spec_of(**retrieval: Any) -> SweepSpec:
    more = {name: retrieval.pop(name) for name in ("constraints", "sample", "parameters") if name in retrieval}
    return read_spec({**SPEC, **more, "retrieval": retrieval})


def refused(**retrieval: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        spec_of(**retrieval)
    return caught.value


def test_each_size_of_each_collection_is_a_cut_once() -> None:
    spec = spec_of(
        chunk_tokens=[64, 256],
        chunk_overlap=16,
        collection=["a", "b"],
        limit=[1, 2],
        parameters={"top_p": [0.5, 1]},
    )
    assert cuts_of(spec.space) == [
        Cut(collection=name, tokens=tokens, overlap=16) for name in ("a", "b") for tokens in (64, 256)
    ]
    assert Plan(spec=spec).configurations == 16


def test_sizes_are_part_of_what_a_cell_asks() -> None:
    cells = list(Plan(spec=spec_of(chunk_tokens=[64, 128], limit=2)).cells())
    assert [cell.retrieval for cell in cells[:2]] == [
        {"limit": 2, "chunk_tokens": 64},
        {"limit": 2, "chunk_tokens": 128},
    ]
    assert len({cell.config_id for cell in cells[:2]}) == 2
    assert Plan(spec=spec_of(chunk_tokens=64, limit=2)).run_id != Plan(spec=spec_of(limit=2)).run_id


def test_without_sizes_nothing_is_cut() -> None:
    assert cuts_of(spec_of(limit=[2, 4], collection="a").space) == []
    assert cuts_of(read_spec(SPEC).space) == []
    assert not any("cut again" in note for note in Plan(spec=spec_of(limit=2)).notes())


def test_a_plan_says_what_is_cut_first() -> None:
    (note,) = Plan(spec=spec_of(chunk_tokens=[64, 128], chunk_overlap=8, collection=["a", "b"])).notes()
    assert note.endswith("unless they are stored so: 64 tokens with overlap 8, 128 tokens with overlap 8")


def test_only_the_combinations_that_run_are_cut() -> None:
    rule = [{"exclude": {"retrieval.chunk_overlap": {"at_least": "retrieval.chunk_tokens"}}}]
    spec = spec_of(chunk_tokens=[16, 64], chunk_overlap=[0, 32], constraints=rule)
    assert [(cut.tokens, cut.overlap) for cut in cuts_of(spec.space)] == [(16, 0), (64, 0), (64, 32)]
    sample = {"kind": "random", "count": 2, "seed": 1}
    assert len(cuts_of(spec_of(chunk_tokens=[16, 32, 64, 128], sample=sample).space)) == 2


def test_a_spec_with_sizes_survives_being_stored() -> None:
    spec = spec_of(chunk_tokens={"min": 32, "max": 128, "step": 32}, chunk_overlap=[0, 8])
    assert read_spec(json.loads(spec.canonical())) == spec


@pytest.mark.parametrize(
    ("retrieval", "param", "said"),
    [
        ({"chunk_tokens": [15]}, "retrieval.chunk_tokens", "from 16"),
        ({"chunk_tokens": 64.5}, "retrieval.chunk_tokens", "whole number"),
        ({"chunk_tokens": 100_000}, "retrieval.chunk_tokens", "8,192"),
        ({"chunk_overlap": -1}, "retrieval.chunk_overlap", "from 0"),
        ({"chunk_tokens": [32, 64], "chunk_overlap": [0, 32]}, "retrieval.chunk_overlap", "32 is not below chunks"),
        ({"chunk_tokens": {"min": 16, "max": 100, "step": 1}}, "retrieval.chunk_tokens", f"than {MOST_CUTS} cuts"),
    ],
)
def test_sizes_that_cannot_be_are_refused_by_name(retrieval: dict[str, Any], param: str, said: str) -> None:
    error = refused(**retrieval)
    assert error.param == param
    assert said in error.message


def test_sizes_are_held_against_the_configs_and_the_embedder() -> None:
    cuts = cuts_of(spec_of(chunk_tokens=[16, 128]).space)
    config = DocumentSettings(chunk_tokens=128, chunk_overlap=16)
    with pytest.raises(BadRequest, match="16 is not below chunks of 16 tokens") as caught:
        check_cuts(cuts, config)
    assert (caught.value.param, "name both" in (caught.value.hint or "")) == ("retrieval.chunk_overlap", True)
    with pytest.raises(BadRequest, match="255 is more than the embedder reads") as caught:
        check_cuts(cuts_of(spec_of(chunk_tokens=[254, 255], chunk_overlap=0).space), config, 256)
    assert (caught.value.param, caught.value.hint) == ("retrieval.chunk_tokens", "254 at most")
    check_cuts(cuts_of(spec_of(chunk_overlap=[0, 100]).space), config, 256)
    with pytest.raises(BadRequest, match="128 is not below"):
        check_cuts(cuts_of(spec_of(chunk_overlap=[0, 128]).space), config)


class Made:
    """Makes recutters over houses, in the place of a cluster's. cut: the sizes in their order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cut: list[tuple[str, int, int]] = []

    def __call__(
        self, settings: Settings, application: str, collection: str, sizes: Sizes, watch: Watch, stopped: Stopped
    ) -> tuple[str, Recutter]:
        self.cut.append((collection, sizes.tokens, sizes.overlap))
        made = Recutting(self.folder / str(len(self.cut)), tokens=sizes.tokens, overlap=sizes.overlap)
        made.add("a.md", "one two three. " * 20)
        recutter = made.recutter()
        recutter._watch, recutter._stopped = watch, stopped
        return made.into.name, recutter


def recut(made: Made, cuts: Sequence[Cut], *, stop: bool = False) -> tuple[Any, list[str]]:
    said: list[str] = []
    args = {"home": str(made.folder), "models": [{"id": "hash", "engine": {"kind": "hash", "dimensions": 16}}]}
    args["documents"] = {"chunk_tokens": 24, "chunk_overlap": 4}
    settings = resolve(args, {})
    found = recut_collections(cuts, {"ours": "t-1"}, settings, "app", said.append, lambda: stop, made)
    return found, said


def test_each_cut_is_searched_in_a_recut_and_what_is_stored_so_in_itself(tmp_path: Path) -> None:
    cuts = [Cut(collection="ours", tokens=32), Cut(tokens=16, overlap=0), Cut(overlap=0)]
    made = Made(tmp_path)
    found, said = recut(made, cuts)
    assert made.cut == [("t-1", 32, 4), ("documents", 16, 0), ("documents", 24, 0)]
    assert found == {
        cuts[0]: "t-cut-32-4-documents",
        cuts[1]: "documents",  # the house cuts so
        cuts[2]: "t-cut-24-0-documents",
    }
    assert said[0] == "recutting ours to 32 tokens: 0 of 1 documents"
    assert said[-1] == "recutting documents to 24 tokens with overlap 0: 1 of 1 documents"


def test_nothing_more_is_cut_where_somebody_wishes_for_an_end(tmp_path: Path) -> None:
    made = Made(tmp_path)
    assert recut(made, [Cut(tokens=32), Cut(tokens=64)], stop=True)[0] is None
    assert len(made.cut) == 1


def test_sizes_and_weights_are_factors_of_what_a_sweep_found() -> None:
    retrieval = [
        {"chunk_tokens": tokens, "weights": {"dense": weight, "bm25": 1.0}}
        for tokens in (64, 128)
        for weight in (1, 3)
    ]
    better = np.array([0, 0, 9, 9])[None, :, None] + np.arange(12 * 4 * 2).reshape(12, 4, 2) % 5
    rows = rows_of(
        better, {"model": list("mnop")}, retrieval=[json.dumps(retrieval[n // 2 % 4]) for n in range(96)]
    )
    rows = rows.set_column(rows.schema.get_field_index("model"), "model", pa.array(["m"] * len(rows)))
    found = frame_of(rows)
    assert found.factors == ("retrieval.chunk_tokens", "retrieval.weights")
    effects = {effect.factors: effect for effect in anova(found, "overall").effects}
    assert effects["retrieval.chunk_tokens",].significant
    assert not effects["retrieval.weights",].significant


def test_a_sweep_that_is_paused_while_it_cuts_runs_no_cell_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path)

    def paused(session: Session) -> None:
        session._run.state.ask(PAUSED, "enough")

    with monkeypatch.context() as during:
        during.setattr(Session, "_recut", paused)
        outcome = house.run(SPEC)
    assert (outcome.ran, house.asked) == (0, [])
    assert outcome.ended is not None
    assert (outcome.ended.status, outcome.ended.reason) == (PAUSED, "enough")
    whole = house.run(SPEC)
    assert (whole.ended, whole.ran) == (None, whole.total)
