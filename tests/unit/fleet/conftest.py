"""Managers look at their clock often enough for tests."""

import pytest

from deployments.fleet import manager


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manager, "TICK_S", 0.005)
