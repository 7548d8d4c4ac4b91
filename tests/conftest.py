"""Every test carries the marker of the level whose folder it lies in."""

from pathlib import Path

import pytest

LEVELS = {"graph", "live", "gpu", "browser", "faults"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    root = Path(__file__).parent
    for item in items:
        level = item.path.relative_to(root).parts[0]
        if level in LEVELS:
            item.add_marker(level)
