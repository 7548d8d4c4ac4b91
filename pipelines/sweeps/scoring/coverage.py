"""Whether an answer is complete for what was asked: `completeness/1`, and what the prompt asks for expressly.

`completeness/2` is `completeness/1`, times 0.5 + 0.5 × the mean share that the answer has of what its prompt asks
for: valid JSON, a number of items, quoted words to use. Valid JSON that was asked for counts as ended, closed and
paired by itself. Where a prompt asks for nothing of the kind it is `completeness/1`.
"""

import json
import re
from statistics import fmean

from pipelines.sweeps.scoring.answer import Answer
from pipelines.sweeps.scoring.completeness import completeness
from pipelines.sweeps.scoring.demands import demands_of
from pipelines.sweeps.scoring.items import items_in
from pipelines.sweeps.scoring.measure import Feature, Measure, scored

COMPLETENESS_2 = "completeness/2"
FENCED = re.compile(r"^ {0,3}```[^\n]*\n(.*?)^ {0,3}```", re.MULTILINE | re.DOTALL)


def coverage(answer: Answer) -> Measure:
    """`completeness/2` and its features."""
    plain = completeness(answer.text, answer.finish_reason)
    demands, met = demands_of(answer.prompt), []
    features: dict[str, Feature] = {"ended_by_itself": answer.finish_reason == "stop"}
    if answer.json_asked or demands.json:
        valid = valid_json(answer.text)
        features["valid_json"] = valid
        met.append(float(valid))
        if valid:
            plain = 100.0 if answer.finish_reason == "stop" else 50.0
    if demands.items is not None and (found := items_in(answer)) is not None:
        features |= {"items_asked": demands.items, "items_found": found}
        met.append(min(1.0, found / demands.items))
    if demands.quoted:
        shown = answer.text.casefold()
        used = sum(word.casefold() in shown for word in demands.quoted)
        features |= {"quoted_asked": len(demands.quoted), "quoted_found": used}
        met.append(used / len(demands.quoted))
    return scored(plain * (0.5 + 0.5 * fmean(met)) if met else plain, **features)


def valid_json(text: str) -> bool:
    """Whether the answer is JSON: all of it, or its one code block with nothing but words around."""
    shown = text.strip()
    if "```" in shown:
        blocks = FENCED.findall(shown + "\n")
        if len(blocks) != 1:
            return False
        shown = blocks[0]
    try:
        json.loads(shown, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
