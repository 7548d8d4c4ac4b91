"""A batch's input file as a whole: every line is looked at before the first one runs, one in memory at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.batches.line import SHOWN, Line, Problem, Rules, raw_lines, read_line

TOLD = 100  # problems; who has more reads these first


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What an input holds. lines: those that may run; problems: the first hundred, and none of the lines runs."""

    lines: int
    problems: Sequence[Problem] = ()


def check_input(path: Path, rules: Rules) -> Checked:
    """Look at every line of a file."""
    problems: list[Problem] = []
    first_at: dict[str, int] = {}
    lines = 0
    for number, raw in raw_lines(path, rules.max_line_bytes):
        lines += 1
        if lines > rules.max_lines:
            message = f"The file has more than {rules.max_lines} requests."
            problems.append(Problem(code="too_many_requests", message=message, line=number))
        else:
            found = _distinct(read_line(number, raw, rules), first_at)
            if isinstance(found, Line):
                first_at[found.custom_id] = number
            else:
                problems.append(found)
        if lines > rules.max_lines or len(problems) == TOLD:
            break
    if not lines:
        problems.append(Problem(code="empty_file", message="The input file has no requests."))
    return Checked(lines=lines, problems=tuple(problems))


def _distinct(found: Line | Problem, first_at: dict[str, int]) -> Line | Problem:
    if isinstance(found, Problem) or found.custom_id not in first_at:
        return found
    earlier = first_at[found.custom_id]
    return Problem(
        code="duplicate_custom_id",
        message=f"The custom_id {found.custom_id[:SHOWN]!r} is that of line {earlier} already.",
        line=found.number,
        param="custom_id",
    )
