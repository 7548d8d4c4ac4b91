"""Counts on a terminal and in a log."""

from io import StringIO

from rich.console import Console

from cluster.console.bars import Bars, Count


def test_a_terminal_has_a_bar_of_each_name_with_its_note() -> None:
    out = StringIO()
    console = Console(file=out, force_terminal=True, width=120, color_system=None)
    with Bars(console, ("files", "chunks")) as bars:
        files, chunks = Count(done=1, total=2), Count(done=3, total=None, note="(5 chunks/s)")
        bars.draw({"files": files, "chunks": chunks}, "not for terminals", ended=True)
    drawn = out.getvalue()
    assert "1/2" in drawn
    assert "3/?" in drawn
    assert "(5 chunks/s)" in drawn
    assert "not for terminals" not in drawn


def test_a_log_has_a_line_now_and_then_and_always_the_last() -> None:
    out, moments = StringIO(), iter([0.0, 0.1, 5.0, 5.1])
    with Bars(Console(file=out), ("files",), clock=lambda: next(moments)) as bars:
        for done in range(4):
            bars.draw({"files": Count(done=done, total=3)}, f"files {done}/3", ended=done == 3)
    assert out.getvalue().splitlines() == ["files 0/3", "files 2/3", "files 3/3"]
