"""What tables print where nobody looks."""

import pytest
from rich.table import Table

from cluster.console.output import output


def test_a_table_in_a_pipe_cuts_no_word_and_takes_a_line_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    """`models ps` in a script had `unpinn…` for a pinned model's last column."""
    table = Table("id", "state", "until", box=None)
    table.add_row("m" * 60, "ready " * 5, "it is unpinned")
    output().print(table)
    _, row = capsys.readouterr().out.splitlines()
    assert row.split()[0] == "m" * 60
    assert row.rstrip().endswith("it is unpinned")
