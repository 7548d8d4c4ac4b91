import time

import pytest

from cluster.errors import BrokenDocument, EmptyDocument, HeliostatError, PayloadTooLarge
from pipelines.documents.html import MAX_DEPTH, parse_html
from pipelines.documents.html_depth import depth_of
from pipelines.documents.parsed import Limits, ParsedDocument

LIMITS = Limits(max_pages=10, max_rows=10, max_characters=10_000, max_unpacked_bytes=100)


def parsed(page: str | bytes) -> ParsedDocument:
    return parse_html("a.html", page.encode() if isinstance(page, str) else page, LIMITS)


def text(page: str | bytes) -> str:
    return parsed(page).text


def outline(page: str) -> list[tuple[str | None, str]]:
    found = parsed(page)
    return [(section.heading, found.text[section.start : section.end].strip()) for section in found.sections]


def test_headings_give_the_path() -> None:
    page = "Before<h1>Guide</h1><p>Welcome<h2>Install <i>it</i></h2><p>Run<h3></h3><h2>Use</h2><p>Enjoy"
    assert outline(page) == [
        (None, "Before"),
        ("Guide", "Guide\n\nWelcome"),
        ("Guide > Install it", "Install it\n\nRun"),
        ("Guide > Use", "Use\n\nEnjoy"),
    ]


def test_the_title_stands_above_where_there_is_no_first_heading() -> None:
    page = "<title>Site</title><p>Hi<h2>Part</h2>text"
    assert [heading for heading, _ in outline(page)] == ["Site", "Site > Part"]
    assert [heading for heading, _ in outline(f"{page}<h1>Top</h1>x")] == [None, "Part", "Top"]


@pytest.mark.parametrize(
    "gone",
    [
        "<script>alert('no')</script>",
        "<style>no {}</style>",
        "<noscript>no</noscript>",
        "<template><p>no</template>",
        "<svg><text>no</text></svg>",
        "<p hidden>no</p>",
        '<div hidden=""><p>no</div>',
        '<p style="color: red; DISPLAY : none">no</p>',
        '<p style="visibility:hidden">no</p>',
        '<span aria-hidden="true">no</span>',
        "<!-- no -->",
        "<iframe>no</iframe>",
        "<noframes><b>no</b></noframes>",
        "<script>if (a < b) document.write('<p>no</p>')</script>",
    ],
)
def test_scripts_styles_and_hidden_parts_are_left_out(gone: str) -> None:
    assert text(f"<p>before</p>{gone}<p>after</p>") == "before\n\nafter"


def test_a_script_without_an_end_hides_what_follows_as_in_a_browser() -> None:
    assert text("<p>before</p><script>no <p>no</p>") == "before"


def test_white_space_is_joined_and_breaks_are_kept() -> None:
    assert text("<p>one\n   two&nbsp;three<br>\n four <b>b</b>old</p>") == "one two three\nfour bold"


def test_preformatted_text_stays_as_it_is() -> None:
    assert text("<pre>\nif x:\n    go()\n</pre>") == "if x:\n    go()"


def test_items_have_their_marks_and_depth() -> None:
    page = "<ul><li>a<ol><li>b<li>c<p>more</ol><li>d</ul>"
    assert text(page) == "- a\n  1. b\n  2. c\n    more\n- d"


def test_a_table_is_a_line_a_row() -> None:
    page = (
        "<table><caption>Parts</caption><tr><th>part<th>kg<tr><td><p>mast</p><p>oak</p><td>40<tr><td><td></table>"
    )
    assert text(page) == "Parts\n\npart | kg\nmast oak | 40"


def test_a_table_that_lays_out_a_page_is_read_as_its_parts() -> None:
    page = "<table><tr><td><h1>Top</h1>text<td><table><tr><td>a<td>b</table></table>"
    assert outline(page) == [("Top", "Top\n\ntext\n\na | b")]


def test_a_pictures_description_is_text() -> None:
    assert text('<p>See <img alt="the mast" src=x> there') == "See the mast there"


def test_characters_that_utf_8_cannot_write_are_gone() -> None:
    assert text("a&#xD800;b&#0;c&#27;d").encode()


@pytest.mark.parametrize(
    ("page", "told"),
    [
        (b'<meta charset="windows-1251"><p>' + "Привет".encode("cp1251"), "Привет"),
        (
            b'<meta http-equiv=x content="text/html; charset=shift_jis">' + "日本".encode("shift_jis"),
            "日本",
        ),
        ("<meta charset=latin1><p>5 €".encode("cp1252"), "5 €"),
        ("<p>5 €".encode("cp1252"), "5 €"),
        ("<meta charset=utf-8><p>5 €".encode("utf-16"), "5 €"),
        ("<meta charset=zlib><p>5 €".encode(), "5 €"),
        ("<meta charset=shift_jis><p>5 €".encode(), "5 €"),
        (b"<meta charset=iso-2022-jp><p>" + "日本".encode("iso2022_jp"), "日本"),
    ],
)
def test_the_declared_encoding_is_used_where_it_fits(page: bytes, told: str) -> None:
    assert text(page) == told


@pytest.mark.parametrize(
    ("page", "kind", "told"),
    [
        ("<p>  <img></p>", EmptyDocument, "no text"),
        ("<div>" * (MAX_DEPTH + 1), BrokenDocument, "nested more than 2000 deep"),
        ("<p>word</p>" * 2000, PayloadTooLarge, "more than 10000 characters"),
        (b"<p>a\x00b", BrokenDocument, "NUL"),
    ],
)
def test_what_cannot_be_read_says_why(page: str | bytes, kind: type[HeliostatError], told: str) -> None:
    with pytest.raises(kind) as caught:
        parsed(page)
    assert told in caught.value.message


def test_paragraphs_without_ends_are_no_nesting() -> None:
    assert text("<p>" * (MAX_DEPTH * 2) + "end") == "end"


@pytest.mark.parametrize(
    "page",
    [
        "<svg><g>{}</g></svg>".format('<use href="#a" x="1"/>' * 3000),
        "<svg>{}</svg>".format("<circle r='5' />" * 3000),
        "<svg><metadata><rdf:RDF>{}</rdf:RDF></metadata></svg>".format("<cc:Work/>" * 3000),
        "<math>{}</math>".format("<mspace/>" * 3000),
        "<script>{}</script>".format("if (a<b) " * 3000),
        "<!-- {} -->".format("<div>" * 3000),
        '<div title="{}"></div>'.format("<div>" * 3000),
        "<svg><title>x</title>{}</svg>".format("<rect/>" * 3000),
    ],
)
def test_what_nests_nothing_is_not_counted(page: str) -> None:
    assert text(f"<p>before</p>{page}<p>after</p>").splitlines()[-1] == "after"


@pytest.mark.parametrize(
    "tags",
    [
        "<div/>" * 3000,  # HTML knows no element that closes itself but its own
        "<svg><div>" + "<circle/>" * 3000,
        "<svg><foreignObject>" + "<div/>" * 3000,
        "<svg>" + "<circle r=5/>" * 3000,  # the slash is the value's
        "<svg>" + '<g a="/>">' * 3000,
    ],
)
def test_what_nests_in_truth_is_counted(tags: str) -> None:
    with pytest.raises(BrokenDocument, match="nested more than 2000 deep"):
        parsed(tags + "x")


@pytest.mark.parametrize("unit", ["<a ", '<a b="x>', "<!--", "<script>", "</a>", "<svg><g/>", "<a b='x><a b=\"y>"])
def test_the_depth_of_any_page_is_counted_in_time(unit: str) -> None:
    began = time.process_time()
    depth_of(unit * (2_000_000 // len(unit)), most=MAX_DEPTH)
    assert time.process_time() - began < 20


def test_a_heading_of_a_megabyte_is_short_in_the_path() -> None:
    found = parse_html(
        "a.html",
        b"<h1>" + b"word " * 200_000 + b"</h1><p>x",
        Limits(max_pages=1, max_rows=1, max_characters=2_000_000, max_unpacked_bytes=1),
    )
    assert len(found.sections[0].heading or "") <= 200
