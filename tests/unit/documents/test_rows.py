import pytest

from cluster.errors import BrokenDocument, EmptyDocument, HeliostatError, PayloadTooLarge
from pipelines.documents.parsed import Limits, ParsedDocument
from pipelines.documents.rows import parse_csv, parse_jsonl

LIMITS = Limits(max_pages=10, max_rows=3, max_characters=1000, max_unpacked_bytes=100)


def rows(parsed: ParsedDocument) -> list[tuple[str | None, str]]:
    return [(section.heading, parsed.text[section.start : section.end]) for section in parsed.sections]


def csv(text: str, *, tabs: bool = False) -> list[tuple[str | None, str]]:
    return rows(parse_csv("a.csv", text.encode(), LIMITS, tabs=tabs))


def jsonl(text: str) -> list[tuple[str | None, str]]:
    return rows(parse_jsonl("a.jsonl", text.encode(), LIMITS))


def test_the_first_row_names_the_columns() -> None:
    assert csv("name,kg\nmast,40\nmirror,7\n") == [
        ("row 2", "name: mast\nkg: 40"),
        ("row 3", "name: mirror\nkg: 7"),
    ]


@pytest.mark.parametrize("text", ["1,mast\n2,mirror\n", ",mast\n2,mirror\n", "a,a\n2,mirror\n"])
def test_a_first_row_of_values_names_nothing(text: str) -> None:
    heading, told = csv(text)[0]
    assert heading == "row 1"
    assert told.splitlines()[-1].startswith("column 2: ")


def test_an_index_without_a_name_does_not_take_the_columns_theirs() -> None:
    """As pandas writes its frames."""
    assert csv(",name,kg\n0,mast,40\n") == [("row 2", "column 1: 0\nname: mast\nkg: 40")]


def test_a_line_that_tells_the_delimiter_is_no_row() -> None:
    """As Excel writes it, and does not show it: it took the columns' place, and the columns were a row."""
    assert csv('sep=;\r\nname;"kg, net"\r\nmast;40,5\r\n') == [("row 2", "name: mast\nkg, net: 40,5")]
    assert csv('"sep=|"\nname|kg\nmast|40\n') == [("row 2", "name: mast\nkg: 40")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(delimiter: str) -> None:
    assert csv(f'"a,;b"{delimiter}kg\nmast{delimiter}40') == [("row 2", "a,;b: mast\nkg: 40")]


def test_tabs_are_taken_at_their_word() -> None:
    assert csv("name,first\tkg\nmast\t40", tabs=True) == [("row 2", "name,first: mast\nkg: 40")]


def test_quotes_hold_delimiters_and_lines() -> None:
    assert csv('name,note\nmast,"tall,\n""old"""\n') == [("row 2", 'name: mast\nnote: tall,\n"old"')]


def test_cells_may_be_missing_too_many_or_empty() -> None:
    assert csv("name,kg\nmast\nmirror,7,new\n,\n") == [
        ("row 2", "name: mast"),
        ("row 3", "name: mirror\nkg: 7\ncolumn 3: new"),
    ]


def test_blank_lines_count_and_are_left_out() -> None:
    assert csv("\nname,kg\n\nmast,40\n") == [("row 4", "name: mast\nkg: 40")]


def test_a_single_line_is_a_row() -> None:
    assert csv("mast,mirror") == [("row 1", "column 1: mast\ncolumn 2: mirror")]


def test_a_line_of_json_is_a_row_told_by_paths() -> None:
    line = '{"name": "mast", "size": {"m": 12.5, "none": null}, "tags": ["old", true, {"by": "Ann"}]}'
    assert jsonl(f'{line}\n\n"plain"\n') == [
        ("line 1", "name: mast\nsize.m: 12.5\ntags: old, true\ntags[2].by: Ann"),
        ("line 3", "plain"),
    ]


def test_escaped_halves_of_characters_and_nuls_are_gone() -> None:
    assert jsonl('{"a": "x\\ud800y\\u0000z"}') == [("line 1", "a: xyz")]


@pytest.mark.parametrize(
    ("text", "kind", "told"),
    [
        ('{"a": 1}\n{"a": }\n', BrokenDocument, "a.jsonl: line 2 is no JSON: Expecting value at its character 7"),
        ("[" * 100_000, BrokenDocument, "line 1 is no JSON: nested too deep"),
        ("9" * 5000, BrokenDocument, "line 1 is no JSON"),
        ("{}\n\n[]\n", EmptyDocument, "no row"),
        ('{"a": 1}\n' * 4, PayloadTooLarge, "more than 3 rows"),
        (f'{{"a": "{"x" * 1001}"}}', PayloadTooLarge, "more than 1000 characters"),
    ],
)
def test_broken_lines_are_named(text: str, kind: type[HeliostatError], told: str) -> None:
    with pytest.raises(kind) as caught:
        jsonl(text)
    assert told in caught.value.message


@pytest.mark.parametrize(
    ("text", "kind", "told"),
    [
        ('a,b\n1,2\n3,"x\n', BrokenDocument, "a.csv: row 3 cannot be read"),
        ('a,b\n1,"x" y\n', BrokenDocument, "a.csv: row 2 cannot be read"),
        (",\n,\n", EmptyDocument, "no row"),
        ("a,b\n1,2\n1,2\n1,2\n1,2\n", PayloadTooLarge, "more than 3 rows"),
    ],
)
def test_broken_rows_are_named(text: str, kind: type[HeliostatError], told: str) -> None:
    with pytest.raises(kind) as caught:
        csv(text)
    assert told in caught.value.message
