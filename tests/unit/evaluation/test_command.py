"""`heliostat eval retrieval`: what is refused before anything starts, and what the figures come with."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cluster.config import resolve
from cluster.errors import BadRequest, NotRunning
from pipelines.documents.evaluation.command import app, read_least
from pipelines.documents.evaluation.corpus import write_corpus
from pipelines.documents.evaluation.dataset import read_dataset
from pipelines.documents.evaluation.measure import Cut, notes_of, recut
from pipelines.documents.evaluation.run import Mode
from pipelines.documents.job_progress import Failure, JobProgress
from pipelines.documents.running import Driver, Running
from tests.unit.evaluation.folders import ENTRIES, beir


def refused(*arguments: str) -> BaseException | None:
    return CliRunner().invoke(app, ["retrieval", *arguments]).exception


def test_a_least_figure_is_read_for_each_mode() -> None:
    assert read_least(["dense=41.5", "bm25=38"], [Mode.DENSE, Mode.BM25]) == {"dense": 41.5, "bm25": 38}


@pytest.mark.parametrize("given", ["dense", "dense=", "dense=high", "dense=nan", "hybrid=1", "=1"])
def test_a_least_figure_that_cannot_be_held_is_refused(given: str) -> None:
    with pytest.raises(BadRequest, match="--at-least"):
        read_least([given], [Mode.DENSE])


@pytest.mark.parametrize("name", ["", "a", "-ab", "a b c", "vs_abc", "t-abc", "x" * 200])
def test_a_collection_that_the_api_would_not_find_is_refused(tmp_path: Path, name: str) -> None:
    error = refused(str(beir(tmp_path / "f")), "--collection", name)
    assert isinstance(error, BadRequest)
    assert "--collection" in error.line()


def test_what_is_kept_is_not_cut_otherwise(tmp_path: Path) -> None:
    error = refused(str(beir(tmp_path / "f")), "--collection", "kept", "--chunk-tokens", "64")
    assert isinstance(error, BadRequest)
    assert "leave one of them out" in error.line()


def cluster(folder: Path) -> Running:
    args = {"models": [{"id": "hash", "engine": {"kind": "hash"}}], "documents": {"chunk_tokens": 100}}
    return Running(home=folder, application="app", settings=resolve(args, {}), connect=Driver(folder))


def test_another_cut_is_made_by_workers_that_are_told_of_it(tmp_path: Path) -> None:
    before = cluster(tmp_path)
    assert recut(before, Cut()) is before
    documents = recut(before, Cut(tokens=64)).settings.documents
    assert (documents.chunk_tokens, documents.chunk_overlap, documents.served_bytes) == (64, 16, 0)
    assert before.settings.documents.chunk_tokens == 100


@pytest.mark.parametrize("cut", [Cut(tokens=8), Cut(overlap=100), Cut(tokens=20, overlap=20), Cut(overlap=-1)])
def test_a_cut_that_cannot_be_is_refused(tmp_path: Path, cut: Cut) -> None:
    with pytest.raises(BadRequest, match="cannot be cut so"):
        recut(cluster(tmp_path), cut)


def test_mode_rerank_needs_a_model(tmp_path: Path) -> None:
    error = refused(str(tmp_path), "--mode", "rerank")
    assert isinstance(error, BadRequest)
    assert "--rerank MODEL" in error.line()


def test_a_broken_folder_is_told_before_a_cluster_is_looked_for(tmp_path: Path) -> None:
    (beir(tmp_path / "f") / "queries.jsonl").write_text("{\n")
    error = refused(str(tmp_path / "f"))
    assert isinstance(error, BadRequest)
    assert "queries.jsonl:1: not JSON" in error.line()


def test_without_a_cluster_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOSTAT_HOME", str(tmp_path / "home"))
    assert isinstance(refused(str(beir(tmp_path / "f"))), NotRunning)


def test_the_figures_come_with_what_is_missing_in_them(tmp_path: Path) -> None:
    entries = (*ENTRIES, {"_id": "blank", "text": " "})
    dataset = read_dataset(beir(tmp_path / "f", entries=entries, judged=(("q1", "mill", 1), ("q1", "gone", 1))))
    corpus = write_corpus(dataset.entries, tmp_path / "files")
    failures = tuple(
        Failure(source=f"{name}.html", code="broken_document", message="no") for name in ("mill", "ferry")
    )
    notes = notes_of(dataset, corpus, JobProgress(job_id="j", state="done", failed=failures))
    assert notes == (
        "1 judged queries, 4 documents in the corpus",
        "1 relevant documents are not in the corpus: they count as not found",
        "1 documents have neither title nor text: they are not stored",
        "2 documents could not be stored: they count as not found",
        "  mill: no [broken_document]",
        "  ferry: no [broken_document]",
    )
