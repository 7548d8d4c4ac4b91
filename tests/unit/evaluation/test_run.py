"""An evaluation over a scripted search: rankings, latencies, refusals, and what the index misses."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from cluster.errors import BadRequest
from pipelines.documents.evaluation.dataset import Dataset, Query, read_dataset
from pipelines.documents.evaluation.exact import ExactSearch
from pipelines.documents.evaluation.measure import refused_of
from pipelines.documents.evaluation.ranking import Hit, ranked
from pipelines.documents.evaluation.results import Measured, write_results
from pipelines.documents.evaluation.run import Evaluation, Mode
from pipelines.documents.evaluation.scores import of_mode
from pipelines.documents.evaluation.table import as_json, lines, missed, title
from tests.unit.evaluation.folders import beir

ENTRIES = {"sha-mill": ("mill",), "sha-tower": ("tower",), "sha-ferry": ("ferry",)}
OF = Measured(
    dataset="mills",
    split="test",
    collection="eval",
    model="hash",
    revision="1",
    chunk_tokens=128,
    chunk_overlap=16,
    documents=3,
    created=1_000_000.0,
)


def hit(document: str, score: float = 1.0, start: int = 0) -> Hit:
    return Hit(document_id=document, start=start, end=start + 10, score=score)


class Scripted:
    """Finds what it was told to, by query; refuses what it was not told of. Keeps what it was asked."""

    def __init__(self, found: dict[str, tuple[Hit, ...]]) -> None:
        self.found = found
        self.calls: list[tuple[str, Mode, int, int | None]] = []

    def search(self, query: str, *, mode: Mode, limit: int, per_document: int | None) -> tuple[Hit, ...]:
        self.calls.append((query, mode, limit, per_document))
        if query not in self.found:
            raise BadRequest("The query has no word in it", hint="ask something")
        return self.found[query]


@pytest.fixture
def mills(tmp_path: Path) -> Dataset:
    return read_dataset(beir(tmp_path / "mills"))


def evaluation(dataset: Dataset, search: Scripted) -> Evaluation:
    ticks = itertools.count()
    return Evaluation(dataset, ENTRIES, search, lambda mode, number: None, clock=lambda: next(ticks) / 100)


def test_a_document_stands_where_its_best_passage_does() -> None:
    hits = [hit("sha-a"), hit("sha-b"), hit("sha-a", start=90), hit("sha-stranger"), hit("sha-c")]
    entries = {"sha-a": ("a", "twin of a"), "sha-b": ("b",), "sha-c": ("c",)}
    assert ranked(hits, entries) == ["a", "twin of a", "b", "c"]
    assert ranked(hits, entries, without="b") == ["a", "twin of a", "c"]


def test_each_query_is_asked_once_more_than_it_is_counted_for_the_first(mills: Dataset) -> None:
    search = Scripted({query.text: () for query in mills.queries})
    rows = evaluation(mills, search).measure(Mode.BM25)
    assert [row.query_id for row in rows] == ["q1", "q2"]
    assert [call[0] for call in search.calls] == [mills.queries[0].text, *(query.text for query in mills.queries)]
    assert {call[1:] for call in search.calls} == {(Mode.BM25, 100, 1)}


def test_scores_are_means_over_the_queries(mills: Dataset) -> None:
    first, second = mills.queries
    search = Scripted({first.text: (hit("sha-mill"),), second.text: (hit("sha-tower"), hit("sha-ferry"))})
    scores = of_mode(evaluation(mills, search).measure(Mode.DENSE))
    assert (scores.queries, scores.failed, scores.recall_10) == (2, 0, 1)
    assert scores.mrr_10 == pytest.approx((1 + 1 / 2) / 2)
    assert scores.ndcg_10 == pytest.approx((1 + 1 / np.log2(3)) / 2)
    assert scores.latency_p50_ms == pytest.approx(10)


def test_a_query_that_is_refused_found_nothing_and_says_why(mills: Dataset) -> None:
    search = Scripted({mills.queries[0].text: (hit("sha-mill"),)})
    rows = evaluation(mills, search).measure(Mode.HYBRID)
    assert rows[1].error == "The query has no word in it — ask something"
    scores = of_mode(rows)
    assert (scores.failed, scores.ndcg_10) == (1, 0.5)
    assert refused_of([scores]) == (
        "hybrid: 1 of its queries were refused, and count as if nothing was found: `error` says why",
    )
    assert refused_of([replace(scores, failed=0)]) == ()


def test_a_mode_that_refuses_every_query_ends_the_run_with_the_reason(mills: Dataset) -> None:
    with pytest.raises(BadRequest, match="refused in mode rerank: The query has no word"):
        evaluation(mills, Scripted({})).measure(Mode.RERANK)


def test_a_query_does_not_find_itself() -> None:
    query = Query(id="mill", text="The mill", relevant={"ferry": 1}, itself="mill")
    search = Scripted({"The mill": (hit("sha-mill"), hit("sha-ferry"))})
    rows = evaluation(Dataset(name="d", entries=(), queries=(query,)), search).measure(Mode.DENSE)
    assert rows[0].ranking == ("ferry",)
    assert rows[0].ndcg_10 == 1


def spans(count: int) -> list[tuple[str, int, int]]:
    return [(f"d{number}", 0, 10) for number in range(count)]


def test_the_index_is_right_where_it_finds_the_nearest() -> None:
    vectors = np.eye(4, dtype=np.float32)
    exact = ExactSearch(spans(4), vectors)
    query = np.array([0.8, 0.6, 0, 0], np.float32)
    assert exact.recall([hit("d0"), hit("d1")], query, depth=2) == 1
    assert exact.recall([hit("d0"), hit("d2")], query, depth=2) == 0.5
    assert exact.recall([hit("d0", start=5), hit("d1")], query, depth=2) == 0.5, "another chunk of it"
    assert exact.recall([hit("d0"), hit("d0")], query, depth=2) == 0.5, "twice the same is one"
    assert exact.recall([], query, depth=2) == 0


def test_equally_near_chunks_are_equally_right_and_few_are_enough() -> None:
    exact = ExactSearch(spans(3), np.eye(3, dtype=np.float32))
    query = np.array([1, 0, 0], np.float32)
    assert exact.recall([hit("d0"), hit("d2")], query, depth=2) == 1, "d1 and d2 are as near"
    assert exact.recall([hit("d0"), hit("d1"), hit("d2")], query, depth=10) == 1
    assert ExactSearch([], np.zeros((0, 3), np.float32)).recall([], query, depth=10) == 1


def test_dense_rows_tell_what_part_of_the_nearest_chunks_the_index_found(mills: Dataset) -> None:
    found = (Hit(document_id="d0", start=0, end=10, score=1.0),)
    search = Scripted({query.text: found for query in mills.queries})
    run = evaluation(mills, search)
    exact = ExactSearch(spans(2), np.eye(2, dtype=np.float32))
    rows = run.against_exact(run.measure(Mode.DENSE), exact, lambda text: np.array([0.9, 0.1], np.float32))
    assert [row.index_recall for row in rows] == [0.5, 0.5]
    assert search.calls[-1][1:] == (Mode.DENSE, 10, None)
    assert of_mode(rows).index_recall == 0.5


def test_the_rows_are_in_parquet_with_what_they_were_measured_on(mills: Dataset, tmp_path: Path) -> None:
    search = Scripted({query.text: (hit("sha-mill"),) for query in mills.queries})
    file = tmp_path / "new" / "rows.parquet"
    write_results(file, [(OF, evaluation(mills, search).measure(Mode.DENSE))])
    rows = pq.read_table(file).to_pylist()
    assert [(row["mode"], row["query_id"], row["ndcg_10"]) for row in rows] == [
        ("dense", "q1", 1),
        ("dense", "q2", 0),
    ]
    assert rows[0]["ranking"] == ["mill"]
    assert (rows[0]["dataset"], rows[0]["chunk_tokens"], rows[0]["error"]) == ("mills", 128, None)
    assert list(file.parent.iterdir()) == [file]


def test_the_table_is_in_hundredths_and_json_in_parts(mills: Dataset) -> None:
    search = Scripted({query.text: (hit("sha-mill"),) for query in mills.queries})
    scores = [of_mode(evaluation(mills, search).measure(mode)) for mode in (Mode.DENSE, Mode.BM25)]
    table = lines(scores)
    assert table[0].split() == [
        "mode",
        "nDCG@10",
        "recall@10",
        "recall@100",
        "MRR@10",
        "p50",
        "ms",
        "p95",
        "ms",
        "index",
    ]
    assert table[1].split() == ["dense", "50.0", "50.0", "50.0", "50.0", "10.0", "10.0"]
    told = as_json(OF, scores, ["2 queries"])
    assert (told["collection"], told["notes"], told["modes"][1]["ndcg_10"]) == ("eval", ["2 queries"], 0.5)
    assert title(OF) == "chunks of 128 tokens, overlap 16, hash"


def test_a_gate_names_the_modes_that_miss_it(mills: Dataset) -> None:
    search = Scripted({query.text: (hit("sha-mill"),) for query in mills.queries})
    scores = [of_mode(evaluation(mills, search).measure(Mode.DENSE))]
    assert missed(scores, {"dense": 50}) == []
    assert missed(scores, {"dense": 50.1}) == ["dense: nDCG@10 is 50.00, below 50.1"]
