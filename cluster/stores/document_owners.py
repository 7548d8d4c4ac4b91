"""Who uploaded which document, in the SQL database. All may read a collection; only its owner may take one out.

The documents themselves are in the vector store, which knows no owners. What came another way, by `heliostat
ingest` or before owners were kept, has no row here, and is of whoever asks where authentication is off.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Column, Index, String, Table, delete, insert, select

from cluster.stores.database import OWNER, UtcTime, metadata, now, take_turns
from cluster.stores.sql_store import SqlStore

LOCAL_OWNER = "local"

document_owners = Table(
    "document_owners",
    metadata,
    Column("collection", String(512), primary_key=True),
    Column("source", String(512), primary_key=True),  # the name that it was uploaded under
    Column("document_id", String(64), nullable=False),
    Column("owner", String(OWNER), nullable=False),
    Column("uploaded_at", UtcTime, nullable=False),
    Index("document_owners_document", "collection", "document_id"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Who uploaded what stands under a name."""

    document_id: str
    owner: str


class DocumentOwners(SqlStore):
    """Those of one database."""

    def claim(self, collection: str, named: Mapping[str, str], *, owner: str) -> None:
        """Note who uploaded documents; what stood under their names before is forgotten.

        named: the ids of the documents, by name.
        """
        table = document_owners.c
        moment = now()
        with self._engine.begin() as connection:
            for source, document_id in sorted(named.items()):  # in one order, so that no two wait for each other
                take_turns(connection, document_owners.name, collection, source)
                here = (table.collection == collection) & (table.source == source)
                connection.execute(delete(document_owners).where(here))
                row = {"collection": collection, "source": source, "document_id": document_id, "owner": owner}
                connection.execute(insert(document_owners).values(**row, uploaded_at=moment))

    def named(self, collection: str, source: str) -> Claim | None:
        """Who uploaded what stands under a name; None where nobody did."""
        table = document_owners.c
        query = select(table.document_id, table.owner).where(table.collection == collection, table.source == source)
        row = self._row(query)
        return None if row is None else Claim(document_id=row.document_id, owner=row.owner)

    def of(self, collection: str, document_id: str) -> frozenset[str]:
        """Whose a document is: several may have uploaded the same bytes under several names."""
        table = document_owners.c
        query = select(table.owner).where(table.collection == collection, table.document_id == document_id)
        return frozenset(row.owner for row in self._rows(query)) or frozenset({LOCAL_OWNER})

    def forget(self, collection: str, document_id: str) -> None:
        """A document is gone."""
        table = document_owners.c
        here = (table.collection == collection) & (table.document_id == document_id)
        self._change(delete(document_owners).where(here))
