"""BEIR folders are read as they are, and broken ones are refused by file and line."""

import gzip
from pathlib import Path

import pytest

from cluster.errors import BadRequest
from pipelines.documents.evaluation.dataset import Entry, read_dataset
from tests.unit.evaluation.folders import beir


def test_a_folder_is_read_with_its_judged_queries_alone(tmp_path: Path) -> None:
    more = ({"_id": "q1", "text": "one"}, {"_id": "q2", "text": "two"}, {"_id": "q3", "text": "nobody judged this"})
    read = read_dataset(beir(tmp_path / "mills", queries=more))
    assert read.name == "mills"
    assert [entry.id for entry in read.entries] == ["mill", "tower", "ferry"]
    assert [(query.id, dict(query.relevant)) for query in read.queries] == [
        ("q1", {"mill": 2, "tower": 0}),
        ("q2", {"ferry": 1}),
    ]
    assert read.missing == 0


def test_a_document_is_its_title_and_its_text() -> None:
    assert Entry(id="1", title="Mill", text="It grinds.").content == "Mill\n\nIt grinds."
    assert Entry(id="1", title="", text="It grinds.").content == "It grinds."
    assert Entry(id="1", title="Mill", text=" ").content == "Mill"
    assert Entry(id="1", title="", text="").content == ""


def test_a_query_without_a_relevant_document_is_left_out(tmp_path: Path) -> None:
    read = read_dataset(beir(tmp_path / "f", judged=(("q1", "mill", 1), ("q2", "mill", 0))))
    assert [query.id for query in read.queries] == ["q1"]


def test_judged_documents_that_the_corpus_lacks_are_counted(tmp_path: Path) -> None:
    judged = (("q1", "mill", 1), ("q1", "gone", 1), ("q2", "gone", 1), ("q2", "lost", 0))
    assert read_dataset(beir(tmp_path / "f", judged=judged)).missing == 1


def test_a_query_that_is_a_document_itself_is_known_by_its_text(tmp_path: Path) -> None:
    entries = (
        {"_id": "1", "title": "Mill", "text": "The mill  grinds\nbarley."},
        {"_id": "2", "text": "Something else."},
        {"_id": "3", "text": "An answer to the mill."},
    )
    queries = ({"_id": "1", "text": "The mill grinds barley."}, {"_id": "2", "text": "What grinds?"})
    read = read_dataset(
        beir(tmp_path / "f", entries=entries, queries=queries, judged=(("1", "3", 1), ("2", "3", 1)))
    )
    assert [query.itself for query in read.queries] == ["1", None]


def test_a_query_s_own_document_counts_where_it_is_judged_relevant(tmp_path: Path) -> None:
    entries = ({"_id": "1", "text": "The mill."},)
    queries = ({"_id": "1", "text": "The mill."},)
    read = read_dataset(beir(tmp_path / "f", entries=entries, queries=queries, judged=(("1", "1", 1),)))
    assert read.queries[0].itself is None


def test_byte_order_marks_blank_lines_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    folder = beir(tmp_path / "f")
    corpus = folder / "corpus.jsonl"
    corpus.write_bytes(b"\xef\xbb\xbf" + corpus.read_bytes().replace(b"\n", b"\r\n\r\n"))
    qrels = folder / "qrels" / "test.tsv"
    qrels.write_bytes(qrels.read_bytes().replace(b"\n", b"\r\n"))
    assert len(read_dataset(folder).entries) == 3


def test_a_line_separator_inside_a_text_does_not_end_the_line(tmp_path: Path) -> None:
    folder = beir(tmp_path / "f")
    with (folder / "corpus.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"_id": "x", "text": "one\u2028two"}\n')
    assert read_dataset(folder).entries[-1].text == "one\u2028two"


def test_ids_may_be_whole_numbers(tmp_path: Path) -> None:
    folder = beir(tmp_path / "f")
    (folder / "corpus.jsonl").write_text('{"_id": 7, "text": "one"}\n{"_id": "8", "text": "two"}\n')
    (folder / "queries.jsonl").write_text('{"_id": 0, "text": "which?"}\n')
    (folder / "qrels/test.tsv").write_text("0\t7\t1\n")
    read = read_dataset(folder)
    assert [entry.id for entry in read.entries] == ["7", "8"]
    assert [(query.id, dict(query.relevant)) for query in read.queries] == [("0", {"7": 1})]
    (folder / "corpus.jsonl").write_text('{"_id": 7, "text": "one"}\n{"_id": "7", "text": "two"}\n')
    with pytest.raises(BadRequest, match="the _id '7' is there twice"):
        read_dataset(folder)


@pytest.mark.parametrize(
    "header", ["", "query-id\tcorpus-id\tscore\n", "query_id\tdoc_id\trelevance\n", "a\tb\tc\n"]
)
@pytest.mark.parametrize("grade", ["1", "1.0", " 1"])
def test_judgements_may_have_any_header_and_grades_a_point(tmp_path: Path, header: str, grade: str) -> None:
    folder = beir(tmp_path / "f")
    (folder / "qrels/test.tsv").write_text(f"{header}q1\tmill\t{grade}\n")
    assert [(query.id, dict(query.relevant)) for query in read_dataset(folder).queries] == [("q1", {"mill": 1})]


def test_packed_files_are_read_where_there_is_no_other(tmp_path: Path) -> None:
    folder = beir(tmp_path / "f")
    plain = read_dataset(folder)
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv"):
        file = folder / name
        file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    assert read_dataset(folder) == plain
    packed = folder / "corpus.jsonl.gz"
    packed.write_bytes(packed.read_bytes()[:-10])
    with pytest.raises(BadRequest, match=r"corpus\.jsonl\.gz: "):
        read_dataset(folder)
    packed.write_bytes(b"no gzip")
    with pytest.raises(BadRequest, match=r"corpus\.jsonl: Not a gzipped file"):
        read_dataset(folder)


def test_another_split_is_read_by_its_name(tmp_path: Path) -> None:
    folder = beir(tmp_path / "f")
    (folder / "qrels" / "dev.tsv").write_text("q1\tferry\t1\n")
    read = read_dataset(folder, split="dev")
    assert [(query.id, dict(query.relevant)) for query in read.queries] == [("q1", {"ferry": 1})]


@pytest.mark.parametrize(
    ("file", "lines", "told"),
    [
        ("corpus.jsonl", b'{"_id": "1", "text": "a"}\n{"_id": "2"\n', "corpus.jsonl:2: not JSON"),
        ("corpus.jsonl", b'["_id"]\n', "corpus.jsonl:1: not a JSON object"),
        ("corpus.jsonl", b'{"text": "a"}\n', "corpus.jsonl:1: _id is missing"),
        ("corpus.jsonl", b'{"_id": true, "text": "a"}\n', "corpus.jsonl:1: _id is no text"),
        ("corpus.jsonl", b'{"_id": "", "text": "a"}\n', "corpus.jsonl:1: the _id is empty"),
        ("corpus.jsonl", b'{"_id": "1"}\n', "corpus.jsonl:1: text is missing"),
        ("corpus.jsonl", b'{"_id": "1", "text": "a", "title": []}\n', "corpus.jsonl:1: title is no text"),
        ("corpus.jsonl", b'{"_id": "1", "text": "a"}\n' * 2, "corpus.jsonl:2: the _id '1' is there twice"),
        ("corpus.jsonl", b'{"_id": "1", "text": "\xff"}\n', "corpus.jsonl:1: not UTF-8"),
        ("corpus.jsonl", b'{"_id": "1", "text": "\\ud800"}\n', "corpus.jsonl:1: text has a lone surrogate"),
        ("corpus.jsonl", b"\n", "corpus.jsonl: no documents"),
        ("queries.jsonl", b'{"_id": "q1", "text": " "}\n', "queries.jsonl:1: the query 'q1' is empty"),
        ("qrels/test.tsv", b"q1\tmill\n", "test.tsv:1: 2 columns"),
        ("qrels/test.tsv", b"q1 mill 1\n", "test.tsv:1: 1 columns"),
        ("qrels/test.tsv", b"q1\tmill\tyes\n", "test.tsv:1: the score 'yes' is no whole number"),
        ("qrels/test.tsv", b"q1\tmill\t1\n\nq9\tmill\t1\n", "test.tsv:3: the query 'q9' is not in queries.jsonl"),
        ("qrels/test.tsv", b"q1\tmill\t1\nq1\tmill\t2\n", "test.tsv:2: 'mill' was judged otherwise"),
        ("qrels/test.tsv", b"q1\tmill\t0\n", "no query has a relevant document"),
    ],
)
def test_a_broken_line_is_named_by_file_and_number(tmp_path: Path, file: str, lines: bytes, told: str) -> None:
    folder = beir(tmp_path / "f")
    (folder / file).write_bytes(lines)
    with pytest.raises(BadRequest) as refused:
        read_dataset(folder)
    assert told in refused.value.line()


@pytest.mark.parametrize("file", ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"])
def test_a_file_that_is_missing_is_named(tmp_path: Path, file: str) -> None:
    folder = beir(tmp_path / "f")
    (folder / file).unlink()
    with pytest.raises(BadRequest, match=f"{file}: No such file"):
        read_dataset(folder)


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="no such folder"):
        read_dataset(tmp_path / "nowhere")
