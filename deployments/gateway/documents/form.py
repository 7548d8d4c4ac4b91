"""What an upload's form holds: files, and what is said of them together."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field
from starlette.datastructures import FormData, UploadFile

from cluster.errors import BadRequest, HeliostatError
from deployments.gateway.documents.labels import Labels, json_field, read_metadata, read_tags
from deployments.gateway.documents.uploads import Incoming
from deployments.gateway.parsing import parsed
from deployments.gateway.wire import Wire
from pipelines.documents.names import SEPARATORS, base_name

FILE_FIELDS = ("file", "files")
FIELDS = (*FILE_FIELDS, "collection", "tags", "metadata", "sources", "wait")
MAX_FILES = 100
MAX_FIELDS = 64
MAX_DEPTH = 32  # folders of one source
MAX_SOURCE = 480  # characters: what the owners' table takes, less what a job may put before it
TRUTHS = {"true": True, "1": True, "false": False, "0": False}

FILE_SCHEMA = {"type": "string", "format": "binary"}
UPLOAD_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "file": FILE_SCHEMA,
                        "files": {"type": "array", "items": FILE_SCHEMA, "maxItems": MAX_FILES},
                        "collection": {"type": "string", "description": "its name or id"},
                        "tags": {"type": "array", "items": {"type": "string"}},
                        "metadata": {"type": "string", "description": "a JSON object"},
                        "sources": {
                            "type": "string",
                            "description": "a JSON list: each file's name, which may have folders",
                        },
                        "wait": {"type": "boolean", "default": True},
                    },
                }
            }
        },
    }
}


class _Sources(Wire):
    sources: list[str] = Field(max_length=MAX_FILES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A form, read. collection: None where none is named. wait: whether the client waits until all is stored."""

    files: tuple[Incoming, ...]
    labels: Labels
    collection: str | None
    wait: bool


def read_form(form: FormData) -> Upload:
    """Raises BadRequest naming the field for a form without a file, or with a field nobody reads."""
    unknown = sorted(set(form.keys()) - set(FIELDS))
    if unknown:
        name = unknown[0][:64]
        raise BadRequest(f"Unknown parameter: {name}", param=name, hint=f"send {', '.join(FIELDS)}")
    files = _files(form)
    named = _sources(_text(form, "sources"), len(files))
    incoming = tuple(_incoming(file, None if named is None else named[at]) for at, file in enumerate(files))
    tags = [value for value in form.getlist("tags") if isinstance(value, str)]
    metadata = _text(form, "metadata")
    wait = _text(form, "wait")
    if wait is not None and wait not in TRUTHS:
        raise BadRequest(f"Invalid value for wait: {wait[:32]!r}", hint="true or false", param="wait")
    return Upload(
        files=incoming,
        labels=Labels(tags=read_tags(tags), metadata={} if metadata is None else read_metadata(metadata)),
        collection=_text(form, "collection"),
        wait=True if wait is None else TRUTHS[wait],
    )


def clean_source(sent: str) -> str:
    """A source with folders, each part a safe name. Raises BadRequest for one that climbs or is too long."""
    parts = [part for part in SEPARATORS.split(sent) if part not in ("", ".")]
    if ".." in parts or len(parts) > MAX_DEPTH:
        raise BadRequest(f"Not a name within a folder: {sent[:80]!r}", hint="without ..", param="sources")
    clean = "/".join(base_name(part) for part in parts) if parts else base_name(sent)
    if len(clean) > MAX_SOURCE:
        raise BadRequest(f"A name is longer than {MAX_SOURCE} characters", hint="shorten it", param="sources")
    return clean


def _files(form: FormData) -> list[UploadFile]:
    files: list[UploadFile] = []
    for name, value in form.multi_items():
        if name not in FILE_FIELDS:
            if not isinstance(value, str):
                raise BadRequest(f"{name} is a file", hint="send it without a filename", param=name)
            continue
        if not isinstance(value, UploadFile):
            raise BadRequest(f"{name} is not a file", hint="send it with a filename", param=name)
        files.append(value)
    if not files:
        hint = "multipart/form-data with a field named file: curl -F file=@guide.pdf"
        raise BadRequest("There is no file in the request", hint=hint, param="file")
    return files


def _incoming(file: UploadFile, named: str | None) -> Incoming:
    shown = (named if named is not None else file.filename or "")[:80]
    size = file.size or 0
    try:
        source = base_name(file.filename) if named is None else clean_source(named)
    except HeliostatError as error:  # of this file alone
        return Incoming(source=shown, size=size, file=file.file, refused=error)
    return Incoming(source=source, size=size, file=file.file)


def _sources(sent: str | None, count: int) -> Sequence[str] | None:
    if sent is None:
        return None
    named = parsed(_Sources, {"sources": json_field("sources", sent)}).sources
    if len(named) != count:
        raise BadRequest(f"{len(named)} sources for {count} files", hint="one for each, in order", param="sources")
    return named


def _text(form: FormData, name: str) -> str | None:
    values = form.getlist(name)
    if not values:
        return None
    if len(values) > 1:
        raise BadRequest(f"{name} is sent {len(values)} times", hint="send it once", param=name)
    value = values[0]
    return value if isinstance(value, str) and value else None
