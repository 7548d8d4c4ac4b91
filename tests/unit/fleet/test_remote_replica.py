"""A replica whose model runs elsewhere is not replaced because nobody answers there."""

import pytest

from cluster.errors import EngineDead, ProviderAway
from cluster.settings.models import ModelSettings
from tests.unit.fleet.test_replica import CALL, Replica
from tests.unit.gateway.conftest import settings_with


async def test_a_provider_that_is_away_is_told_to_us_and_not_to_serve() -> None:
    engine = {"kind": "openai", "base_url": "http://127.0.0.1:1/v1", "model": "x"}
    replica = Replica.__new__(Replica)
    await replica.__init__(ModelSettings.model_validate({"id": "echo", "engine": engine}), settings_with())  # type: ignore[misc]
    with pytest.raises(ProviderAway):
        await replica.health()
    await replica.check_health()  # a new replica would find the same provider
    with pytest.raises(ProviderAway):
        await replica.chat(CALL)
    assert (await replica.card()).engine == "openai"
    await replica._engine.stop()
    with pytest.raises(EngineDead):
        await replica._engine.check_health()
