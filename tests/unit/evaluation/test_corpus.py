"""A corpus becomes files that are stored as any others are."""

import hashlib
from pathlib import Path

from cluster.settings.pipelines import DocumentSettings
from pipelines.documents.evaluation.corpus import write_corpus
from pipelines.documents.evaluation.dataset import Entry
from pipelines.documents.reader import read


def entry(name: str, text: str, title: str = "") -> Entry:
    return Entry(id=name, title=title, text=text)


def test_each_entry_is_a_file_of_its_title_and_text(tmp_path: Path) -> None:
    corpus = write_corpus([entry("7", "It grinds <b>.", "M&ll"), entry("8", "It rings.")], tmp_path / "new")
    page, plain = [Path(file.path).read_text() for file in corpus.files]
    assert plain == "It rings."
    assert "<h1>M&amp;ll</h1>\n<p>It grinds &lt;b&gt;.</p>" in page
    read_again = read("7.html", page.encode(), DocumentSettings())
    assert "M&ll" in read_again.text
    assert "It grinds <b>." in read_again.text
    assert [file.source for file in corpus.files] == ["7.html", "8.txt"]
    assert corpus.names == {"7.html": "7", "8.txt": "8"}


def test_a_document_is_known_by_the_hash_of_its_bytes_with_all_its_entries(tmp_path: Path) -> None:
    corpus = write_corpus([entry("a", "same"), entry("b", "other"), entry("c", "same")], tmp_path)
    assert corpus.ids == {
        hashlib.sha256(b"same").hexdigest(): ["a", "c"],
        hashlib.sha256(b"other").hexdigest(): ["b"],
    }


def test_entries_without_text_are_told_and_not_written(tmp_path: Path) -> None:
    corpus = write_corpus([entry("a", " \n"), entry("b", "words")], tmp_path)
    assert corpus.empty == ("a",)
    assert [file.source for file in corpus.files] == ["b.txt"]


def test_an_id_that_is_no_file_name_leads_nowhere(tmp_path: Path) -> None:
    names = ["../../etc/passwd", "a/b", "x" * 300, ".hidden", "ä b", "plain_1.2-3"]
    corpus = write_corpus([entry(name, f"text of {name}") for name in names], tmp_path)
    sources = [file.source for file in corpus.files]
    assert len(set(sources)) == len(names)
    assert all("/" not in source and len(source) < 130 for source in sources)
    assert sources[-1] == "plain_1.2-3.txt"
    assert [corpus.names[source] for source in sources] == names
    assert {Path(file.path).parent for file in corpus.files} == {tmp_path}
