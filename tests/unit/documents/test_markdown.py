from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.documents.markdown import sections

GUIDE = """Preface.

# Guide

Welcome.

## Install ##

Run it.

### On Linux
```sh
# not a heading
```
## Use
Enjoy.
"""


def outline(text: str) -> list[tuple[str | None, str]]:
    return [(section.heading, text[section.start : section.end].strip()) for section in sections(text)]


def test_each_section_knows_the_path_of_its_headings() -> None:
    assert [heading for heading, _ in outline(GUIDE)] == [
        None,
        "Guide",
        "Guide > Install",
        "Guide > Install > On Linux",
        "Guide > Use",
    ]


def test_a_hash_in_fenced_code_is_no_heading() -> None:
    assert outline(GUIDE)[3][1].startswith("### On Linux\n```sh\n# not a heading")


def test_a_heading_with_nothing_under_it_joins_the_next_section() -> None:
    assert outline("# Title\n\n## First\n\nText") == [("Title > First", "# Title\n\n## First\n\nText")]


def test_underlined_headings_count() -> None:
    assert [heading for heading, _ in outline("Title\n=====\n\nText\n\nSub\n---\nMore")] == ["Title", "Title > Sub"]


def test_a_rule_or_a_table_is_no_heading() -> None:
    assert outline("Text\n\n---\n\n| a |\n---\nMore") == [(None, "Text\n\n---\n\n| a |\n---\nMore")]


FRONT = "---\ntitle: Guide\ntags:\n  - a\n\nlist: [b]\n---\n"


def test_the_facts_before_a_text_are_no_headings() -> None:
    """`list: [b]` above `---` was the heading of all that came before the first one."""
    assert outline(f"{FRONT}Preface.\n\n# First\n\nText") == [
        (None, f"{FRONT}Preface."),
        ("First", "# First\n\nText"),
    ]
    assert outline("---\nTitle\n---\ntext")[0] == (None, "---")
    assert outline("---\n---\n# A\ntext")[-1] == ("A", "# A\ntext")


def test_code_fenced_within_a_line_opens_no_block() -> None:
    """All the headings below it were taken for code."""
    assert [heading for heading, _ in outline("```run it```\n\n# A\n\ntext\n\n# B\n\ntext")] == [None, "A", "B"]
    assert [heading for heading, _ in outline("```sh\n# code\n```\n# A\n\ntext")] == [None, "A"]


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="#-=`: \nab\u2028\x0c", max_size=80))
def test_sections_cover_the_text_in_order_without_gaps(text: str) -> None:
    position = 0
    for section in sections(text):
        assert not text[position : section.start].strip()
        assert section.start <= section.end
        position = section.end
    assert not text[position:].strip()
