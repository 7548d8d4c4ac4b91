"""What docs/sweeps.md says works as it is written there."""

import re
from pathlib import Path

import pytest

from pipelines.sweeps.parameters import Parameters
from pipelines.sweeps.plan import Plan
from pipelines.sweeps.retrieval import RetrievalAxes
from pipelines.sweeps.spec import NOT_ASKED, SweepSpec, load_spec

DOCUMENT = (Path(__file__).parents[3] / "docs" / "sweeps.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_a_plan(example: str, tmp_path: Path) -> None:
    questions = "".join(f'"How long is mast {place}?"\n' for place in range(10))
    (tmp_path / "questions.jsonl").write_text(questions)
    file = tmp_path / "example.yaml"
    file.write_text(example)
    plan = Plan(spec=load_spec(file))
    plan.check(1_000_000, ["spark-chat"])
    assert len({cell.id for cell in plan.cells()}) == plan.total > 0


def test_every_key_of_a_spec_is_explained() -> None:
    for kind in (SweepSpec, Parameters, RetrievalAxes):
        missing = [name for name in kind.model_fields if f"`{name}`" not in DOCUMENT]
        assert not missing, kind.__name__


def test_what_changes_no_cell_is_named() -> None:
    sentence = DOCUMENT[DOCUMENT.index("What changes no cell") :].split("makes no", 1)[0]
    assert all(f"`{name}`" in sentence for name in NOT_ASKED - {"deadline_s"})
