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


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="#-=` \nab\u2028\x0c", max_size=80))
def test_sections_cover_the_text_in_order_without_gaps(text: str) -> None:
    position = 0
    for section in sections(text):
        assert not text[position : section.start].strip()
        assert section.start <= section.end
        position = section.end
    assert not text[position:].strip()
