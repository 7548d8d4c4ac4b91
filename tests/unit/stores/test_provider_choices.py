"""The choice of a provider, as all gateways find it."""

from pathlib import Path

from cluster.stores.database import now, open_database
from cluster.stores.provider_choices import ProviderChoice, ProviderChoices


def choice(provider: str, model: str | None = None) -> ProviderChoice:
    return ProviderChoice(provider=provider, model=model, chosen_by="key_1", chosen_at=now())


def test_a_choice_outlives_its_process_and_is_one_for_all(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'db'}"
    one, other = ProviderChoices(open_database(url)), ProviderChoices(open_database(url))
    assert one.get() is None
    first = choice("far", "far/big")
    one.put(first)
    assert other.get() == first
    other.put(second := choice("local"))
    assert one.get() == second
    one.put(None)
    assert other.get() is None
    assert ProviderChoices(open_database(url)).get() is None
