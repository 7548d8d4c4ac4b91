"""Which provider answers where a request names no model: one choice for the whole cluster, made by an admin."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, String, Table, delete, insert, select

from cluster.stores.database import OWNER, UtcTime, metadata, take_turns
from cluster.stores.sql_store import SqlStore

EVERYBODY = "everybody"  # the one row's key: whom the choice is for

provider_choices = Table(
    "provider_choices",
    metadata,
    Column("scope", String(64), primary_key=True),
    Column("provider", String(128), nullable=False),
    Column("model", String(256)),
    Column("chosen_by", String(OWNER), nullable=False),
    Column("chosen_at", UtcTime, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderChoice:
    """provider: its id. model: as clients ask for it; None leaves that to `auto`. chosen_by: a principal's id."""

    provider: str
    model: str | None
    chosen_by: str
    chosen_at: datetime


class ProviderChoices(SqlStore):
    """The choice, as it stands for all gateways."""

    def get(self) -> ProviderChoice | None:
        """The choice; None where nobody has made one, or it was taken back."""
        row = self._row(select(provider_choices).where(provider_choices.c.scope == EVERYBODY))
        if row is None:
            return None
        return ProviderChoice(
            provider=row.provider, model=row.model, chosen_by=row.chosen_by, chosen_at=row.chosen_at
        )

    def put(self, choice: ProviderChoice | None) -> None:
        """Replace the choice; None takes it back. Of two at once, one comes after the other."""
        with self._engine.begin() as connection:
            take_turns(connection, "provider_choices")
            connection.execute(delete(provider_choices).where(provider_choices.c.scope == EVERYBODY))
            if choice is not None:
                values = {
                    "provider": choice.provider,
                    "model": choice.model,
                    "chosen_by": choice.chosen_by,
                    "chosen_at": choice.chosen_at,
                }
                connection.execute(insert(provider_choices).values(scope=EVERYBODY, **values))
