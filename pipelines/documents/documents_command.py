"""`documents`: what is in a collection, what became of each file, and taking one out."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from cluster.errors import BadRequest, DocumentNotFound
from cluster.stores.document_states import DocumentState, State
from cluster.stores.ledger import Record
from pipelines.documents.command import AsJson, Config, Into

app = typer.Typer(help="List, show and remove documents.", no_args_is_help=True, add_completion=False)
SHOWN_ID = 12  # characters of an id in the list; as many name a document
Name = Annotated[
    str, typer.Argument(help="A document's id, the beginning of it, or its source.", show_default=False)
]


@app.command("ls")
def ls(
    collection: Into = None,
    state: Annotated[State | None, typer.Option(help="Only files in this state.", show_default=False)] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List a collection's documents, and the files that did not become one."""
    from pipelines.documents.running import running

    cluster = running(config)
    into = collection or cluster.settings.documents.collection
    rows = listed(cluster.states().of(into), cluster.records(into))
    rows = [row for row in rows if state is None or row["state"] == state.value]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    if not rows:
        typer.echo(f"{into}: no document" + (f" is {state.value}" if state else ""))
        return
    _print_table(rows)


@app.command("show")
def show(name: Name, collection: Into = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show one document: its names, figures, tags, and how its files were read."""
    from pipelines.documents.running import running

    cluster = running(config)
    into = collection or cluster.settings.documents.collection
    states, records = cluster.states().of(into), cluster.records(into) or {}
    record = find(name, records)
    told = shown(name, states, record)
    if as_json:
        typer.echo(json.dumps(told))
        return
    for field, value in told.items():
        if value not in (None, "", [], {}):
            typer.echo(f"{field:12} {value if isinstance(value, str | int | float) else json.dumps(value)}")


@app.command("rm")
def rm(
    names: Annotated[list[str], typer.Argument(help="Ids, beginnings of them, or sources.", show_default=False)],
    collection: Into = None,
    config: Config = None,
) -> None:
    """Take documents out of a collection, under all their names. Their files are not touched."""
    from pipelines.documents.running import running

    cluster = running(config)
    into = collection or cluster.settings.documents.collection
    records, owner, states = cluster.records(into) or {}, cluster.owner(into), cluster.states()
    found = [(name, find(name, records)) for name in names]
    for name, record in found:
        document = owner.delete(record.document.id if record else name)
        states.forget(into, record.sources if record else [document.source])
        typer.echo(f"removed {document.source} ({document.id[:SHOWN_ID]}, {document.chunks} chunks)")


def find(name: str, records: Mapping[str, Record]) -> Record | None:
    """The published document that a name means; None where none does. Raises BadRequest for an id cut too short."""
    for record in records.values():
        if name == record.document.id or name in record.sources:
            return record
    begun = [record for id_, record in records.items() if len(name) >= 4 and id_.startswith(name)]
    if len(begun) > 1:
        raise BadRequest(f"{len(begun)} documents have ids that begin with {name!r}", hint="tell more of it")
    return begun[0] if begun else None


def listed(states: Mapping[str, DocumentState], records: Mapping[str, Record] | None) -> list[dict[str, Any]]:
    """A row a source: of what is published, and of files that are not. records: None where it is not known."""
    rows: dict[str, dict[str, Any]] = {}
    for source, state in states.items():
        row = asdict(state) | {"state": state.state.value}
        rows[source] = {
            key: row[key] for key in ("source", "state", "document_id", "chunks", "pages", "code", "message")
        }
        rows[source] |= {"updated": state.updated, "tags": []}
    for record in (records or {}).values():
        document = record.document
        for source in record.sources:
            row = rows.setdefault(source, {"source": source, "updated": float(document.created)})
            # What the vector store says of it counts; a file may have failed since, and its old version stays.
            failed = row.get("state") == State.FAILED.value
            row |= {"document_id": document.id, "chunks": document.chunks, "pages": document.pages or 0}
            row |= {"tags": list(document.tags)}
            row |= {} if failed else {"state": State.STORED.value, "code": "", "message": ""}
    if records is not None:
        named = {source for record in records.values() for source in record.sources}
        for source, row in list(rows.items()):
            if row["state"] == State.STORED.value and source not in named:
                del rows[source]  # it was stored, and then taken out
    return [rows[source] for source in sorted(rows)]


def shown(name: str, states: Mapping[str, DocumentState], record: Record | None) -> dict[str, Any]:
    """All that is known of one document. Raises DocumentNotFound."""
    sources = record.sources if record else (name,)
    read = [states[source] for source in sources if source in states]
    if record is None and not read:
        raise DocumentNotFound(f"No document {name!r}", hint="heliostat documents ls lists them")
    told: dict[str, Any] = asdict(record.document) if record else {"source": name}
    told["sources"] = list(sources)
    told["chunker"] = record.chunker if record else ""
    told["embedder"] = next((state.embedder for state in read if state.embedder), "")
    for state in read:
        told["state"] = State.STORED.value if record and state.state is not State.FAILED else state.state.value
        told["path"] = state.path
        told["read"] = datetime.fromtimestamp(state.updated, UTC).isoformat(timespec="seconds")
        if state.message:
            told["failed"] = f"{state.message} [{state.code}]"
    return told


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    head = ("source", "state", "id", "chunks", "pages", "tags", "why it failed")
    lines = []
    for row in rows:
        reason = f"{row['message']} [{row['code']}]" if row["code"] else ""
        figures = (str(row["chunks"] or ""), str(row["pages"] or ""))
        lines.append(
            (row["source"], row["state"], row["document_id"][:SHOWN_ID], *figures, ", ".join(row["tags"]), reason)
        )
    console = Console(highlight=False)
    if not console.is_terminal:  # for programs: a line a row, whatever its length
        for line in lines:
            typer.echo("\t".join(line))
        return
    table = Table(*head)
    for line in lines:
        table.add_row(*map(escape, line))
    console.print(table)
