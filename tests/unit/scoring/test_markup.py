from pipelines.sweeps.scoring.answer import Answer
from pipelines.sweeps.scoring.markup import Kind, blocks, inline

TEXT = """# A heading

Some **bold** text with `code` and a [link](https://example.org/a_b).
Its second line.

```python
print("not read")
```

- first item
  goes on here
- second item

  after a gap

1. numbered
   * nested

> A quoted line.

| a | b |
|---|---|
| c | d |

---
The end."""


def test_blocks_of_an_answer_are_told_apart() -> None:
    found = [(block.kind, block.text) for block in blocks(TEXT)]
    assert found == [
        (Kind.HEADING, "A heading"),
        (Kind.PROSE, "Some bold text with code and a link. Its second line."),
        (Kind.ITEM, "first item goes on here"),
        (Kind.ITEM, "second item after a gap"),
        (Kind.ITEM, "numbered"),
        (Kind.ITEM, "nested"),
        (Kind.PROSE, "A quoted line."),
        (Kind.TABLE, "a b"),
        (Kind.TABLE, "c d"),
        (Kind.PROSE, "The end."),
    ]


def test_running_text_is_what_is_no_list_heading_table_or_code() -> None:
    assert Answer(TEXT).prose == [
        "Some bold text with code and a link.",
        "Its second line.",
        "A quoted line.",
        "The end.",
    ]


def test_an_open_code_fence_takes_the_rest_with_it() -> None:
    assert [block.text for block in blocks("Look:\n~~~\ncode\n```\nmore")] == ["Look:"]


def test_a_name_in_snake_case_and_a_product_stay_what_they_are() -> None:
    assert inline("call my_long_name with 3 < 4 and _this_") == "call my_long_name with 3 < 4 and this"


def test_addresses_and_tags_are_not_read() -> None:
    assert inline("see https://example.org/page?a=b <br/>now") == "see now"


def test_a_bold_lead_is_a_list_item_only_after_a_marker() -> None:
    assert [block.kind for block in blocks("**Note** this.\n\n* **Note** that.")] == [Kind.PROSE, Kind.ITEM]
