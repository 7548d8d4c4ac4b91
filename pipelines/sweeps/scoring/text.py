"""One answer's scores: those that it allows by itself, and how they are put together."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.sweeps.scoring.answer import Answer
from pipelines.sweeps.scoring.coherence import coherence
from pipelines.sweeps.scoring.coverage import coverage
from pipelines.sweeps.scoring.creativity import creativity
from pipelines.sweeps.scoring.judge import JUDGE
from pipelines.sweeps.scoring.length import against_prompt
from pipelines.sweeps.scoring.lexical import lexical_diversity
from pipelines.sweeps.scoring.measure import Feature, Measure, absent
from pipelines.sweeps.scoring.overall import overall
from pipelines.sweeps.scoring.readability import readability
from pipelines.sweeps.scoring.scorers import VERSIONS, Scorers
from pipelines.sweeps.scoring.specificity import specificity
from pipelines.sweeps.scoring.vectors import vectors_of
from pipelines.sweeps.scoring_spec import JUDGED

ALONE: Mapping[str, Callable[[Answer], Measure]] = {
    "readability": readability,
    "lexical_diversity": lexical_diversity,
    "completeness": coverage,
    "length_appropriateness": against_prompt,
    "specificity": specificity,
}
"""The measures that need nothing but the answer and its prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """An answer's scores, 0 to 100 by name, and their versions; absent: why the others are not there.

    features: raw figures, which are no scores.
    """

    features: Mapping[str, Feature]
    scores: Mapping[str, float]
    versions: Mapping[str, str]
    absent: Mapping[str, str]

    def stored_features(self) -> dict[str, Any]:
        """The features as a row keeps them: with the reasons of absent scores, by name, under `absent`."""
        return {**self.features, "absent": dict(self.absent)} if self.absent else dict(self.features)


def score_text(
    text: str,
    *,
    prompt: str = "",
    finish_reason: str | None = None,
    scorers: Scorers | None = None,
    row: Mapping[str, Any] | None = None,
) -> Scored:
    """The scores of one answer. prompt: with its system text. row: for scorers of one's own, what is stored.

    What needs the answer's repeats, the greedy answer or other answers to its prompt is absent, and says so.
    """
    scorers = scorers or Scorers()
    answer = Answer(text, prompt=prompt, finish_reason=finish_reason, json=asks_for_json(row or {}))
    measures = alone(answer, scorers, row or {})
    if scorers.wants("coherence"):
        vectors = vectors_of([answer], scorers.embed)[0] if scorers.embed else None
        measures["coherence"] = coherence(vectors.prose if vectors else None)
    measures["diversity"] = absent("needs the other repeats of its configuration")
    measures["novelty"] = absent("needs the greedy answer to its prompt")
    if scorers.wants(JUDGED):
        measures |= judged([answer], scorers)[0]
    return put_together(answer, measures, scorers)


def alone(answer: Answer, scorers: Scorers, row: Mapping[str, Any]) -> dict[str, Measure]:
    """The measures that are asked for and need one answer alone, scorers of one's own among them."""
    found = {name: measure(answer) for name, measure in ALONE.items() if name in scorers.names}
    for custom in scorers.custom:
        for name, measure in custom.measure(answer.text, str(row.get("prompt") or answer.prompt), row).items():
            if name in VERSIONS:
                found[custom.name] = absent(f"it gave a score of its own the name {name!r}, which is taken")
            else:
                found[name] = measure
    return found


def judged(answers: list[Answer], scorers: Scorers) -> list[dict[str, Measure]]:
    """The judge's scores of answers, all asked about at once."""
    judge, ask = scorers.judge, scorers.ask
    if judge is None or ask is None:
        return [{JUDGED: absent("there is nobody to ask the judge")} for _ in answers]
    questions = [question for answer in answers for question in judge.questions(answer.prompt, answer.text)]
    replies = list(ask(questions))
    size = judge.repeats
    return [judge.verdict(replies[place * size : (place + 1) * size]) for place in range(len(answers))]


def put_together(answer: Answer, measures: Mapping[str, Measure], scorers: Scorers) -> Scored:
    """All measures of an answer, as one. Scores have four decimals."""
    measures = dict(measures)
    if scorers.wants("creativity"):
        measures["creativity"] = creativity(measures["diversity"], measures["novelty"])
    names = [name for name in measures if name not in VERSIONS or name in scorers.names]
    scores = {name: round(score, 4) for name in names if (score := measures[name].score) is not None}
    if scorers.wants("overall"):
        measures["overall"] = overall(scores, scorers.weights)
        names.append("overall")
        if (score := measures["overall"].score) is not None:
            scores["overall"] = round(score, 4)
    features: dict[str, Feature] = {"word_count": len(answer.words), "sentence_count": len(answer.all_sentences)}
    for name in names:
        for key, value in measures[name].features.items():
            features[key] = round(value, 4) if isinstance(value, float) else value
    if scorers.embedder and ("coherence" in scores or "novelty" in scores):
        features["embedder"] = scorers.embedder
    ordered = [name for name in VERSIONS if name in scores] + [name for name in scores if name not in VERSIONS]
    return Scored(
        features=features,
        scores={name: scores[name] for name in ordered},
        versions={name: version_of(name, scorers) for name in ordered},
        absent={name: measures[name].reason or "" for name in names if measures[name].score is None},
    )


def version_of(score: str, scorers: Scorers) -> str:
    """The version of a score: `readability/1`; of one of several of a scorer that scorer's."""
    if score in VERSIONS:
        return VERSIONS[score]
    for custom in sorted(scorers.custom, key=lambda each: -len(each.name)):  # of `a` and `a_b`, the nearer
        if score == custom.name or score.startswith(f"{custom.name}_"):
            return custom.version
    return JUDGE


def asks_for_json(row: Mapping[str, Any]) -> bool:
    """Whether a row's parameters asked for JSON, by `response_format`."""
    text = row.get("parameters") or ""
    if "response_format" not in text:
        return False
    try:
        asked = json.loads(text).get("response_format")
    except (ValueError, AttributeError):
        return False
    return isinstance(asked, dict) and asked.get("type") in ("json_object", "json_schema")
