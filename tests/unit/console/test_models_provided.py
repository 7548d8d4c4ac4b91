"""Models of providers in the list of models."""

import io

from rich.console import Console

from deployments.models_provided import entries
from deployments.models_shown import show_list

ROWS: list[dict[str, object]] = [
    {
        "id": "echo", "provider": "local", "engine": "scripted", "task": "chat", "capabilities": ["chat"],
        "context_length": 64, "state": "ready", "reason": None,
    },
    {
        "id": "far/big", "provider": "far", "engine": "openai", "task": "chat", "capabilities": ["chat", "vision"],
        "context_length": 4096, "state": "ready", "reason": None,
    },
    {
        "id": "gpt", "provider": "openai", "engine": "openai", "task": "chat", "capabilities": ["chat"],
        "context_length": 0, "state": "unavailable", "reason": "provider_unavailable",
    },
]  # fmt: skip


def test_they_are_listed_with_whose_they_are_and_ours_are_left_to_the_library() -> None:
    far, gpt = entries(ROWS)
    assert (far.id, far.provider, far.kind, far.task, far.context_length) == (
        "far/big",
        "far",
        "openai",
        "vision",
        4096,
    )
    assert (gpt.context_length, gpt.problem) == (None, "provider_unavailable")
    console = Console(file=(written := io.StringIO()), width=200)
    show_list([far, gpt], frozenset({"far/big"}), console)
    lines = written.getvalue().splitlines()
    assert "at far" in lines[1]
    assert "yes" in lines[1]
    assert "at openai: provider_unavailable" in lines[2]
