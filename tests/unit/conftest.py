"""What every unit test begins with, whatever ran before it in the same process."""

import logging

import pytest

from cluster import logs

# As they are after an import of ours: nobody listens but `caplog`, which sits at the root.
AS_IMPORTED = {"propagate": True, "handlers": [], "level": logging.WARNING}


@pytest.fixture(autouse=True)
def loggers_as_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway of another level has configured ours: their lines would no longer reach `caplog`."""
    changed = False
    for name in logs.ROOTS:
        logger = logging.getLogger(name)
        for attribute, wanted in AS_IMPORTED.items():
            if getattr(logger, attribute) != wanted:  # only then: this runs before every test
                changed = True
                monkeypatch.setattr(logger, attribute, wanted)
    for name, logger in logging.Logger.manager.loggerDict.items():
        if getattr(logger, "disabled", False) and name.partition(".")[0] in logs.ROOTS:
            changed = True
            monkeypatch.setattr(logger, "disabled", False)  # a library's own configuration disables all others
    if changed:
        logging.Logger.manager._clear_cache()  # of who listens to which level
