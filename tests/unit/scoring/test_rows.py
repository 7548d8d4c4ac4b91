import pyarrow as pa
import pytest

from pipelines.sweeps.scoring.judge import Judge
from pipelines.sweeps.scoring.prompt_rows import AT_ONCE
from pipelines.sweeps.scoring.rows import by_prompt, score_rows
from pipelines.sweeps.scoring.scorers import Scorers, scorers_of
from tests.unit.scoring.conftest import embed, read, row, table

SEA = "The sea is wide. Its waves are blue. The wind over it is cold."
HILL = "A hill stands there. Sheep graze on it. Summer makes them slow."
EMBEDS = Scorers(embed=embed, embedder="by-words")


def sweep() -> pa.Table:
    """A greedy answer, two configurations of two repeats, one failed cell, and another prompt."""
    return table(
        [
            row(0, SEA, config_id="g", greedy=True, temperature=0.0),
            row(1, SEA, config_id="a", temperature=0.5),
            row(2, HILL, config_id="b", temperature=1.0),
            row(3, None, config_id="b", temperature=1.0, repeat=3),
            row(4, SEA, config_id="a", temperature=0.5, repeat=2),
            row(5, SEA.replace("cold", "warm"), config_id="b", temperature=1.0, repeat=2),
            row(6, "Four.", config_id="a", prompt_id="p2", prompt="2 + 2? Answer in one word."),
        ]
    )


def test_a_runs_rows_are_scored_in_their_order() -> None:
    before, after = sweep(), score_rows(sweep(), EMBEDS)
    assert after.schema.names == before.schema.names
    for name in ("cell_id", "text", "error_code", "temperature"):
        assert after.column(name) == before.column(name)
    scores = read(after, "scores")
    assert scores[3] is None
    assert [each is None for each in read(after, "features")] == [each is None for each in scores]
    assert scores[1]["diversity"] == 0 == scores[1]["novelty"] == scores[1]["creativity"]
    assert scores[2]["diversity"] == scores[5]["diversity"] > 50  # a figure of both repeats
    assert scores[2]["novelty"] > scores[5]["novelty"] > 0
    assert scores[6]["length_appropriateness"] == 100
    assert read(after, "score_versions")[1]["novelty"] == "novelty/1"


def test_the_column_completeness_stays_what_the_runner_writes() -> None:
    after = score_rows(sweep(), Scorers())
    assert after.column("completeness").to_pylist() == [100, 100, 100, None, 100, 100, 100]
    assert after.column("completeness_metric").to_pylist()[2:4] == ["completeness/1", None]
    assert read(after, "score_versions")[0]["completeness"] == "completeness/2"


def test_a_missing_score_says_why_beside_the_features() -> None:
    features = read(score_rows(sweep(), EMBEDS), "features")
    assert "greedy answer" in features[0]["absent"]["novelty"]
    assert "two repeats" in features[0]["absent"]["diversity"]
    assert "no greedy answer" in features[6]["absent"]["novelty"]
    assert "embedding" in read(score_rows(sweep(), Scorers()), "features")[1]["absent"]["novelty"]


def test_scoring_again_gives_the_same_to_the_byte() -> None:
    once = score_rows(sweep(), EMBEDS)
    assert score_rows(once, EMBEDS).equals(once)


def test_prompt_by_prompt_is_the_same_as_all_at_once() -> None:
    parts = list(by_prompt(sweep(), EMBEDS))
    assert [part.num_rows for part in parts] == [6, 1]
    assert pa.concat_tables(parts).sort_by("ordinal").equals(score_rows(sweep(), EMBEDS))


def test_the_order_of_rows_changes_no_score() -> None:
    mixed = sweep().take([5, 3, 1, 6, 0, 4, 2])
    assert score_rows(mixed, EMBEDS).sort_by("ordinal").column("scores") == score_rows(sweep(), EMBEDS).column(
        "scores"
    )


def test_a_length_without_a_target_is_held_against_the_prompts_other_answers_but_anchors() -> None:
    rows = [row(n, "word " * count) for n, count in enumerate((10, 20, 40))]
    anchor = row(3, "word " * 5000, greedy=True)
    scores = read(score_rows(table([*rows, anchor]), Scorers()), "scores")
    assert [each["length_appropriateness"] for each in scores] == [50, 100, 50, 0]


def test_each_model_has_its_own_anchor() -> None:
    rows = [row(0, SEA, greedy=True), row(1, HILL, greedy=True, model="other"), row(2, HILL, model="other")]
    assert read(score_rows(table(rows), EMBEDS), "scores")[2]["novelty"] == 0


def test_rows_of_an_older_version_are_scored_without_what_they_lack() -> None:
    rows = sweep().drop_columns(["config_id", "greedy", "retrieval", "features", "scores", "score_versions"])
    after = score_rows(rows, EMBEDS)
    scores = read(after, "scores")
    assert scores[1]["diversity"] == 0
    assert "novelty" not in scores[1]


def test_more_repeats_than_one_batch_are_still_compared_with_each_other() -> None:
    many = [row(n, f"{SEA} {n}.", repeat=n) for n in range(AT_ONCE + 5)]
    scores = read(score_rows(table([*many, row(999, HILL, temperature=2.0)]), EMBEDS), "scores")
    assert len({each.get("diversity") for each in scores[:-1]}) == 1
    assert "diversity" not in scores[-1]


def test_the_system_text_is_part_of_what_is_asked() -> None:
    scores = read(score_rows(table([row(0, "One. Two.", system="Answer in two sentences.")]), Scorers()), "scores")
    assert scores[0]["length_appropriateness"] == 100


def test_json_asked_for_by_response_format_is_looked_for() -> None:
    asked = '{"response_format": {"type": "json_object"}}'
    scores = read(
        score_rows(table([row(0, "No.", parameters=asked), row(1, "{}", parameters=asked)]), Scorers()), "scores"
    )
    assert [each["completeness"] for each in scores] == [50, 100]


def test_the_judge_is_asked_about_many_answers_at_once() -> None:
    calls: list[int] = []

    def ask(questions: object) -> list[str]:
        asked = list(questions)  # type: ignore[call-overload]
        calls.append(len(asked))
        return ['{"good": 10}' if "Sheep" in question else "hm" for question in asked]

    judge = Judge(id="m", criteria={"good": "it is good"}, repeats=3)
    after = score_rows(sweep(), scorers_of(["judge"], judge=judge, ask=ask))
    assert sorted(calls) == [3, 3, 12]  # the anchor, the other prompt, the four
    assert [None if each is None else each.get("judge") for each in read(after, "scores")] == [
        None, None, 100, None, None, None, None,
    ]  # fmt: skip
    assert read(after, "features")[1]["absent"] == {"judge": "the judge gave no verdict that can be read"}


@pytest.mark.parametrize("rows", [[], [row(0, None)]])
def test_an_empty_run_and_one_of_errors_alone_stay_as_they_are(rows: list[dict[str, object]]) -> None:
    assert score_rows(table(rows), EMBEDS).equals(table(rows))
    assert sum(part.num_rows for part in by_prompt(table(rows), EMBEDS)) == len(rows)
