"""What a run leaves behind when all that it was asked for is stored: how everything looked that this depends on.

Where the same is asked again and all of it still looks so, there is nothing to do, and neither the database nor the
vector store nor Ray has to be loaded to know it. Where anything looks otherwise a run decides as if there were no
receipt; so one may be deleted at any time.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.stores.draft import Draft
from pipelines.documents.chunker import fingerprint
from pipelines.documents.labels import Labels
from pipelines.documents.selection import Selected
from pipelines.documents.stamp import is_settled, stamp_of

if TYPE_CHECKING:
    from cluster.stores.document_states import DocumentState
    from pipelines.documents.running import Running

FOLDER = "documents/receipts"  # below the home
VERSION = 1  # raise it when another fact is looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Of one command with its arguments on one cluster."""

    cluster: "Running"
    command: str
    paths: tuple[Path, ...]
    collection: str | None
    labels: Labels

    @property
    def file(self) -> Path:
        """Where it is."""
        paths = [str(path.absolute()) for path in self.paths]
        said = [list(self.labels.tags), dict(self.labels.metadata)]
        told = json.dumps([self.command, paths, self.cluster.into(self.collection), said], sort_keys=True)
        return self.cluster.home / FOLDER / f"{hashlib.sha256(told.encode()).hexdigest()[:32]}.txt"

    def holds(self, files: Sequence[Selected], now: float) -> bool:
        """Whether all looks as when it was left. now: Unix seconds."""
        try:
            left = self.file.read_text(encoding="ascii")
            looks = self._looks()
            facts = {each.source: Path(each.path).stat() for each in files}
        except (OSError, UnicodeDecodeError):
            return False
        if not all(is_settled(each, now) for each in facts.values()):
            return False
        return left == self._seal(looks, files, {source: stamp_of(each) for source, each in facts.items()})

    def leave(self, files: Sequence[Selected], states: "Mapping[str, DocumentState]") -> None:
        """Write it, where each of the files is published as it looked before it was read. states: by source."""
        try:
            looks = self._looks()  # before the records are read: what changes meanwhile must look otherwise
        except OSError:
            return
        records = self.cluster.records(self.collection) or {}
        chunker = self._chunker()
        stamps = {}
        for each in files:
            state = states.get(each.source)
            record = None if state is None else records.get(state.document_id)
            if state is None or record is None or not state.stamp:
                return
            stored = (state.path, state.stored_id, record.chunker) == (each.path, state.document_id, chunker)
            if not stored or each.source not in record.sources or not self.labels.said_of(record.document):
                return
            stamps[each.source] = state.stamp
        with Draft(self.file) as draft:
            draft.write(self._seal(looks, files, stamps).encode())
            draft.publish(durable=False)

    def _looks(self) -> str:
        """Of the log of what is published, and of the database with the notes on files. Raises OSError."""
        log = self.cluster.files().log(self.cluster.into(self.collection)).stat()
        # It changes with all that the cluster does: only that it is the same one is asked.
        settings = self.cluster.settings
        database = 0 if settings.stores.database else (settings.home_path / "heliostat.db").stat().st_ino
        return f"{stamp_of(log)}|{database}"

    def _seal(self, looks: str, files: Sequence[Selected], stamps: Mapping[str, str]) -> str:
        told = [str(VERSION), self.cluster.settings.model_dump_json(), self._chunker(), looks]
        told += [f"{each.path}\0{each.source}\0{stamps[each.source]}" for each in files]
        return hashlib.sha256("\n".join(told).encode(errors="surrogateescape")).hexdigest()

    def _chunker(self) -> str:
        settings = self.cluster.settings
        return fingerprint(settings.documents, settings.embedding_models[0].id)
