"""Standard output for tables: as wide as the terminal, and where nobody looks, a line a row for grep."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

PIPED = 250  # columns; at rich's own 80 words are cut


def output() -> "Console":
    """A console on standard output that colours nothing by itself."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PIPED
    return console
