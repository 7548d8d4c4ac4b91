import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import BadRequest
from pipelines.documents.names import base_name


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("guide.pdf", "guide.pdf"),
        ("../../etc/passwd.txt", "passwd.txt"),
        ("C:\\Users\\me\\notes.md", "notes.md"),
        ("a\x00b\n.txt", "ab.txt"),
        ("evil\u202efdp.txt", "evilfdp.txt"),
        ("Zürich 5€.md", "Zürich 5€.md"),
    ],
)
def test_only_the_visible_last_part_of_a_name_is_kept(sent: str, kept: str) -> None:
    assert base_name(sent) == kept


@pytest.mark.parametrize("sent", [None, "", "..", "a/", "\x00", "\u202e", "é" * 130 + ".txt"])
def test_a_name_that_is_none_or_too_long_is_refused(sent: str | None) -> None:
    with pytest.raises(BadRequest) as caught:
        base_name(sent)
    assert caught.value.param == "file"


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=100) | st.text(min_size=250, max_size=300))
def test_a_kept_name_never_leaves_its_folder(sent: str) -> None:
    try:
        name = base_name(sent)
    except BadRequest:
        return
    assert name not in {"", ".", ".."}
    assert not set(name) & set("/\\\x00")
    assert len(name.encode()) <= 255
