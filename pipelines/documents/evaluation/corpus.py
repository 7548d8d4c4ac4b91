"""A dataset's corpus as files, so that it comes in as users' documents do: parsed, cut, embedded, published."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from pipelines.documents.evaluation.dataset import Entry
from pipelines.documents.selection import Selected

BLANK_LINE = re.compile(r"\n\s*\n")
PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusFiles:
    """One file a corpus entry: a page of HTML where it has a title, else plain text.

    ids: the entries of each document id, several of the same content. names: the entry of each source. empty:
    entries without title and text, of which nothing can be stored.
    """

    files: tuple[Selected, ...]
    ids: Mapping[str, Sequence[str]]
    names: Mapping[str, str]
    empty: tuple[str, ...]


def write_corpus(entries: Sequence[Entry], folder: Path) -> CorpusFiles:
    """Write the files. A source is named by its entry's id: passages tell it, and a later run finds it again."""
    folder.mkdir(parents=True, exist_ok=True)
    files: list[Selected] = []
    ids: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    empty: list[str] = []
    for number, entry in enumerate(entries):
        if not entry.content:
            empty.append(entry.id)
            continue
        titled = bool(entry.title.strip())
        content = (_page(entry) if titled else entry.content).encode()
        suffix = ".html" if titled else ".txt"
        file = folder / f"{number}{suffix}"
        file.write_bytes(content)
        source = _source(entry.id) + suffix
        files.append(Selected(path=str(file), source=source))
        names[source] = entry.id
        ids.setdefault(hashlib.sha256(content).hexdigest(), []).append(entry.id)
    return CorpusFiles(files=tuple(files), ids=ids, names=names, empty=tuple(empty))


def _page(entry: Entry) -> str:
    """The entry as HTML: its title as the heading, its paragraphs below."""
    paragraphs = (escape(part, quote=False) for part in BLANK_LINE.split(entry.text))
    body = "".join(f"<p>{part}</p>\n" for part in paragraphs)
    return f'<!doctype html>\n<meta charset="utf-8">\n<h1>{escape(entry.title, quote=False)}</h1>\n{body}'


def _source(entry: str) -> str:
    """A file's name for an entry's id, which may be anything: what is not a plain name is told by its hash."""
    return entry if PLAIN.fullmatch(entry) else f"~{hashlib.sha256(entry.encode()).hexdigest()[:32]}"
