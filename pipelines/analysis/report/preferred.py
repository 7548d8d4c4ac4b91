"""What a judge prefers, as lines of text."""

from pipelines.analysis.corrections import NAMES
from pipelines.analysis.frame import Frame
from pipelines.analysis.preferences import Preference, Preferences
from pipelines.analysis.report import words
from pipelines.analysis.report.sheets import judge_sentence

SHOWN = 12  # configurations


def preference_lines(judged: Preferences, frame: Frame, *, pairs: int = 0) -> list[str]:
    """A judge's verdicts to read: each configuration's win rate against the others, and so many of the pairs."""
    labels = {one.id: words.settings(one.settings, frame.factors) for one in frame.configurations}
    lines = [f"judge {judge_sentence(judged)}"]
    own = sorted({one.model for one in frame.configurations if one.model == judged.judge})
    if own:
        lines.append(f"{own[0]} judged answers of its own, which judges prefer")
    if judged.swayed is None:
        return lines
    lines.append("win rate against the others, ties half, 95 % interval over prompts (50 is even):")
    lines += [
        f"  {words.number(one.win_rate):>6}  {words.interval(one.low, one.high):<16}  n={one.prompts}  "
        f"{labels.get(one.config_id, one.config_id)}"
        for one in judged.standings[:SHOWN]
    ]
    more = len(judged.standings) - SHOWN
    lines += [f"  and {more} more: sweep report --html FILE has all"] if more > 0 else []
    clear = sorted((one for one in judged.pairs if one.significant), key=lambda one: one.p_adjusted or 0.0)
    if not clear:
        return [*lines, "no two configurations are told apart"]
    return lines + [f"- {_said(one, labels, judged)}" for one in clear[:pairs]]


def _said(one: Preference, labels: dict[str, str], judged: Preferences) -> str:
    """A pair that is told apart, the better first."""
    ahead = (one.win_rate or 0.0) >= 50
    better, worse = (one.first, one.second) if ahead else (one.second, one.first)
    rate, low, high = (one.win_rate, one.low, one.high) if ahead else _turned(one)
    figures = f"{words.number(rate)} % (95 % {words.interval(low, high)}; n = {one.prompts} prompts; {one.test}; "
    names = f"{labels.get(better, better)} wins over {labels.get(worse, worse)} in"
    return f"{names} {figures}adjusted p {words.p_value(one.p_adjusted)}, {NAMES[judged.correction]})"


def _turned(one: Preference) -> tuple[float | None, float | None, float | None]:
    rate, low, high = (None if value is None else 100 - value for value in (one.win_rate, one.high, one.low))
    return rate, low, high
