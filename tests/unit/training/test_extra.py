"""Where the extra is missing, the command that installs it is said."""

import pytest

from cluster.errors import StartFailed
from pipelines.training import extra


def test_a_missing_package_is_named_with_the_command_that_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extra, "find_spec", lambda name: None if name == "wonderwords" else object())
    with pytest.raises(StartFailed, match="wonderwords not installed") as caught:
        extra.require()
    assert caught.value.hint == "pip install 'heliostat-serve[training]'"


def test_with_both_nothing_is_said() -> None:
    extra.require()
