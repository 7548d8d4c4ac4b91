"""One figure of many: the weighted mean of the scores that an answer has.

`overall/1` = sum of weight × score over the scores that are present, over the sum of their weights. Which they
were is stored as the feature `overall_of`, and the part of all weight that they carry as `overall_weight`: two
answers whose parts differ are compared on different grounds.
"""

from collections.abc import Mapping
from types import MappingProxyType

from pipelines.sweeps.scoring.measure import Measure, absent, scored

OVERALL = "overall/1"
WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        "completeness": 3.0,
        "coherence": 2.0,
        "length_appropriateness": 2.0,
        "readability": 1.0,
        "specificity": 1.0,
    }
)
"""The weights where a spec gives none: the surer the sign, the more it weighs.

Diversity, novelty and creativity have none: a higher temperature moves them by construction, and would win.
"""


def overall(scores: Mapping[str, float], weights: Mapping[str, float]) -> Measure:
    """`overall/1` of scores by name. weights: 0 or more; names that have no score are left out."""
    parts = {name: weight for name, weight in weights.items() if weight > 0 and name in scores}
    if not parts:
        return absent("none of the scores that have a weight could be computed")
    weight = sum(parts.values())
    mean = sum(weight * scores[name] for name, weight in parts.items()) / weight
    return scored(mean, overall_of=", ".join(sorted(parts)), overall_weight=weight / sum(weights.values()))
