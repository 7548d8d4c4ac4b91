"""Where the extra is missing, the command that installs it is said."""

from importlib.util import find_spec

import pytest

from cluster.errors import StartFailed
from pipelines.training import extra


def test_a_missing_package_is_named_with_the_command_that_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extra, "find_spec", lambda name: None if name == "wonderwords" else object())
    with pytest.raises(StartFailed, match="wonderwords not installed") as caught:
        extra.require()
    assert caught.value.hint == "pip install 'heliostat-serve[training]'"


def test_with_both_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_for: list[str] = []

    def find(name: str) -> object:
        looked_for.append(name)
        return find_spec(name)

    monkeypatch.setattr(extra, "find_spec", find)
    extra.require()
    assert looked_for == ["reportlab", "wonderwords"]
