"""Tests that need a CUDA device. Without one they say that nothing ran, and why."""

from pathlib import Path

import pytest

GPU = Path(__file__).parent


def _devices() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mine = [item for item in items if item.path.is_relative_to(GPU)]
    if mine and _devices() == 0:
        reason = "no CUDA device on this machine: the gpu level ran nothing"
        for item in mine:
            item.add_marker(pytest.mark.skip(reason=reason))
