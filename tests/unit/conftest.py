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
        monkeypatch.setattr(logger, "level", logging.WARNING)  # whatever a library has set the root logger to
        logger.manager._clear_cache()  # of who listens to which level
    for name, logger in logging.Logger.manager.loggerDict.items():
        if isinstance(logger, logging.Logger) and name.partition(".")[0] in logs.ROOTS:
            monkeypatch.setattr(logger, "disabled", False)  # a library's own configuration disables all others
