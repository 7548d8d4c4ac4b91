"""What is said of every document of a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cluster.documents import Document, MetadataValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """Tags and metadata."""

    tags: tuple[str, ...] = ()
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)

    def said_of(self, document: Document) -> bool:
        """Whether all of it is said of a document."""
        same = all(document.metadata.get(name) == value for name, value in self.metadata.items())
        return same and set(self.tags) <= set(document.tags)
