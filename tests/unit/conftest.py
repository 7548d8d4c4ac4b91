"""What every unit test begins with, whatever ran before it in the same process."""

import logging

import pytest

from cluster import logs


@pytest.fixture(autouse=True)
def loggers_as_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway of another level has configured ours: their lines would no longer reach `caplog`."""
    for name in logs.ROOTS:
        logger = logging.getLogger(name)
        monkeypatch.setattr(logger, "propagate", True)
        monkeypatch.setattr(logger, "handlers", [])
        monkeypatch.setattr(logger, "level", logging.NOTSET)
        logger.manager._clear_cache()  # of who listens to which level
