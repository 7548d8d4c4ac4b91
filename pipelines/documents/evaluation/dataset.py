"""A judged collection in BEIR's format: `corpus.jsonl`, `queries.jsonl` and `qrels/<split>.tsv` in one folder.

Every error names the file and the line, because such folders are often made by hand. Each file may be packed by
gzip (`corpus.jsonl.gz`), as they are published; ids may be whole numbers.
"""

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from cluster.errors import BadRequest

CORPUS = "corpus.jsonl"
QUERIES = "queries.jsonl"
COLUMNS = ("query-id", "corpus-id", "score")
SHOWN = 60  # characters of a wrong value that an error shows


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One document of the corpus."""

    id: str
    title: str
    text: str

    @property
    def content(self) -> str:
        """All its words: the title as the first paragraph, then the text; empty where both are."""
        return "\n\n".join(part for part in (self.title, self.text) if part.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One query. relevant: its judged documents, by id; a grade of 0 or less is judged not relevant.

    itself: the corpus entry that this query was taken from; finding it says nothing.
    """

    id: str
    text: str
    relevant: Mapping[str, int]
    itself: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A judged collection. queries: those with at least one relevant document, in the file's order.

    missing: judged documents that the corpus lacks; they count as not found.
    """

    name: str
    entries: tuple[Entry, ...]
    queries: tuple[Query, ...]
    missing: int = 0


def read_dataset(folder: Path, *, split: str = "test") -> Dataset:
    """Read a folder. Raises BadRequest naming file and line."""
    if not folder.is_dir():
        raise BadRequest(f"{folder}: no such folder", hint=f"a BEIR folder has {CORPUS}, {QUERIES} and qrels/")
    entries = _entries(folder / CORPUS)
    texts = _queries(folder / QUERIES)
    judged = _judgements(folder / "qrels" / f"{split}.tsv", texts)
    queries = tuple(
        Query(id=name, text=text, relevant=judged[name], itself=_itself(entries.get(name), text, judged[name]))
        for name, text in texts.items()
        if any(grade > 0 for grade in judged.get(name, {}).values())
    )
    if not queries:
        raise BadRequest(f"{folder / 'qrels' / f'{split}.tsv'}: no query has a relevant document")
    relevant = {document for query in queries for document, grade in query.relevant.items() if grade > 0}
    return Dataset(
        name=folder.resolve().name,
        entries=tuple(entries.values()),
        queries=queries,
        missing=len(relevant - entries.keys()),
    )


def _itself(entry: Entry | None, query: str, judged: Mapping[str, int]) -> str | None:
    """The entry of the query's own id where it holds the query's text: ArguAna asks with its documents.

    The id alone decides nothing: collections whose queries and documents are both numbered share many.
    """
    if entry is None or judged.get(entry.id, 0) > 0:
        return None
    return entry.id if " ".join(query.split()) in " ".join(entry.content.split()) else None


def _entries(file: Path) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for line, row in _rows(file):
        name = _id(row, file, line, found)
        title = _text(row, "title", file, line, needed=False)
        found[name] = Entry(id=name, title=title, text=_text(row, "text", file, line))
    if not found:
        raise BadRequest(f"{file}: no documents")
    return found


def _queries(file: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for line, row in _rows(file):
        name = _id(row, file, line, found)
        text = _text(row, "text", file, line)
        if not text.strip():
            raise BadRequest(f"{file}:{line}: the query {name!r} is empty")
        found[name] = text
    return found


def _judgements(file: Path, queries: Mapping[str, str]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for line, text in _lines(file):
        cells = text.split("\t")
        if line == 1 and _is_header(cells, queries):
            continue
        if len(cells) != len(COLUMNS):
            columns = ", ".join(COLUMNS)
            raise BadRequest(f"{file}:{line}: {len(cells)} columns", hint=f"three, tab-separated: {columns}")
        query, document, grade = cells
        if query not in queries:
            raise BadRequest(f"{file}:{line}: the query {query[:SHOWN]!r} is not in {QUERIES}")
        number = _grade(grade)
        if number is None:
            raise BadRequest(f"{file}:{line}: the score {grade[:SHOWN]!r} is no whole number")
        if found.setdefault(query, {}).setdefault(document, number) != number:
            raise BadRequest(f"{file}:{line}: {document!r} was judged otherwise for {query!r} before")
    return found


def _is_header(cells: Sequence[str], queries: Mapping[str, str]) -> bool:
    """Whether the first line names columns, in whatever words: it has no known query, and no score."""
    if tuple(cells) == COLUMNS:
        return True
    return len(cells) == len(COLUMNS) and cells[0] not in queries and _grade(cells[-1]) is None


def _grade(text: str) -> int | None:
    """A whole number, which some tools write as `1.0`."""
    try:
        number = float(text)
        return int(number) if number.is_integer() else None
    except ValueError:
        return None


def _rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, text in _lines(file):
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BadRequest(f"{file}:{line}: not JSON: {error}", hint="one JSON object a line") from None
        if not isinstance(row, dict):
            raise BadRequest(f"{file}:{line}: not a JSON object", hint='{"_id": "1", "title": "…", "text": "…"}')
        yield line, row


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, numbered from 1; split at line feeds alone, as JSONL is."""
    try:
        with _opened(file) as lines:
            for number, raw in enumerate(lines, start=1):
                try:
                    text = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                except UnicodeDecodeError as error:
                    raise BadRequest(f"{file}:{number}: not UTF-8: {error.reason}") from None
                if text.strip():
                    yield number, text
    except (EOFError, zlib.error) as error:
        raise BadRequest(f"{file}.gz: {error}", hint="is it complete?") from None
    except OSError as error:
        hint = f"a BEIR folder has {CORPUS}, {QUERIES} and qrels/test.tsv"
        raise BadRequest(f"{file}: {error.strerror or error}", hint=hint) from None


def _opened(file: Path) -> "gzip.GzipFile | BinaryIO":
    """The file, or where only that is there, its packed twin."""
    packed = file.with_name(f"{file.name}.gz")
    return gzip.open(packed) if packed.is_file() and not file.exists() else file.open("rb")


def _id(row: Mapping[str, Any], file: Path, line: int, before: Mapping[str, Any]) -> str:
    number = row.get("_id")
    is_number = isinstance(number, int) and not isinstance(number, bool)
    name = _text({"_id": str(number)} if is_number else row, "_id", file, line)
    if not name:
        raise BadRequest(f"{file}:{line}: the _id is empty")
    if name in before:
        raise BadRequest(f"{file}:{line}: the _id {name[:SHOWN]!r} is there twice")
    return name


def _text(row: Mapping[str, Any], key: str, file: Path, line: int, *, needed: bool = True) -> str:
    value = row.get(key)
    if value is None and not needed:
        return ""
    if value is None:
        raise BadRequest(f"{file}:{line}: {key} is missing")
    if not isinstance(value, str):
        raise BadRequest(f"{file}:{line}: {key} is no text", hint=f"got {repr(value)[:SHOWN]}")
    try:
        value.encode()
    except UnicodeEncodeError:  # half of an escaped pair: nothing could store it
        raise BadRequest(f"{file}:{line}: {key} has a lone surrogate") from None
    return value
