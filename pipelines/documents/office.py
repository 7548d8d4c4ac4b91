"""The ZIP archive that a Word file is: its parts as streams of XML, and never more bytes than allowed."""

import io
import posixpath
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from xml.parsers import expat

from cluster.errors import BrokenDocument, EncryptedDocument, PayloadTooLarge

READ_BYTES = 64 * 1024
MAX_PARTS = 100_000
ENCRYPTED_FLAG = 0x1
RELATIONSHIPS = "_rels/.rels"
DOCUMENT_RELATION = "/officeDocument"  # the end of the relation's address, in both versions of the standard
OTHER_OFFICE = {"xl/workbook.xml": "an Excel workbook", "ppt/presentation.xml": "a PowerPoint presentation"}
Attributes = dict[str, str]


class Office:
    """An open archive. max_bytes: of XML that may be unpacked from it, over all parts."""

    def __init__(self, name: str, content: bytes, *, max_bytes: int) -> None:
        self._name = name
        self._left = self._max = max_bytes
        with self._telling():
            self._archive = zipfile.ZipFile(io.BytesIO(content))
        self._parts = set(self._archive.namelist()[:MAX_PARTS])

    def document(self) -> str:
        """The path of the main part. Raises BrokenDocument where there is none."""
        targets: list[str] = []

        def start(_: str, attributes: Attributes) -> None:
            if attributes.get("Type", "").endswith(DOCUMENT_RELATION):
                targets.append(attributes.get("Target", "").lstrip("/"))

        if RELATIONSHIPS in self._parts:
            self.parse(RELATIONSHIPS, start=start)
        path = next((target for target in targets if target in self._parts), "word/document.xml")
        if path not in self._parts or any(other in self._parts for other in OTHER_OFFICE):
            found = next((what for other, what in OTHER_OFFICE.items() if other in self._parts), "a ZIP archive")
            raise BrokenDocument(
                f"{self._name}: the content is {found}, not a Word file", hint="save it as .docx, or as .csv"
            )
        return path

    def beside(self, document: str, part: str) -> str | None:
        """The path of a part in the main part's folder, where there is one."""
        path = posixpath.join(posixpath.dirname(document), part)
        return path if path in self._parts else None

    def parse(
        self,
        part: str,
        *,
        start: Callable[[str, Attributes], Any],
        end: Callable[[str], Any] | None = None,
        text: Callable[[str], Any] | None = None,
    ) -> None:
        """Read one part. Names come as `namespace name`.

        Raises BrokenDocument (also for a document type, which could define entities without end),
        EncryptedDocument, PayloadTooLarge.
        """
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = start
        parser.EndElementHandler = end
        parser.CharacterDataHandler = text
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        with self._telling():
            if self._archive.getinfo(part).flag_bits & ENCRYPTED_FLAG:
                raise EncryptedDocument(f"{self._name}: the archive needs a password", hint="save it without one")
            with self._archive.open(part) as stream:
                while data := stream.read(READ_BYTES):
                    self._left -= len(data)
                    if self._left < 0:
                        raise PayloadTooLarge(
                            f"{self._name}: it unpacks to more than {self._max} bytes",
                            hint="split it, or raise documents.max_unpacked_bytes",
                        )
                    parser.Parse(data, False)
                parser.Parse(b"", True)

    def _refuse_doctype(self, *_: object) -> None:
        raise BrokenDocument(f"{self._name}: its XML declares a document type", hint="save it with Word again")

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, expat.ExpatError) as error:
            raise BrokenDocument(
                f"{self._name}: the Word file cannot be read: {error}", hint="is it complete?"
            ) from None
