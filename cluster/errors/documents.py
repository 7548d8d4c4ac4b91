"""Documents, and the collections that they are in."""

from cluster.errors.base import HeliostatError
from cluster.errors.requests import BadRequest, Conflict, NotFound


class BrokenDocument(BadRequest):
    """A document that its parser cannot read."""

    code = "broken_document"


class EncryptedDocument(BadRequest):
    """A document that needs a password."""

    code = "encrypted_document"


class EmptyDocument(BadRequest):
    """A document with no text in it."""

    code = "empty_document"


class UnsupportedDocument(HeliostatError):
    """A file of a type that is not read here."""

    code, status = "unsupported_document_type", 415


class PathNotAllowed(BadRequest):
    """A path outside the folders that may be read."""

    code = "path_not_allowed"


class DocumentNotFound(NotFound):
    """No document of that id."""

    code = "document_not_found"


class CollectionNotFound(NotFound):
    """No collection of documents of that name."""

    code = "collection_not_found"


class EmbedderMismatch(Conflict):
    """A collection made with another embedder than the one asked to query it."""

    code = "embedder_mismatch"
