"""PDF to text, a page a section, through a child process that may crash or hang alone."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cluster.config import environment
from cluster.errors import BrokenDocument, EmptyDocument, EncryptedDocument, PayloadTooLarge
from pipelines.documents.media import PDF
from pipelines.documents.parsed import ParsedDocument, Section

PARSE_TIMEOUT_S = 60.0  # 5,000 pages of text take about 10 s
WORKER = (sys.executable, "-m", "pipelines.documents.parse_worker")
ROOT = Path(__file__).parents[2]  # what the child must find `pipelines` in
BETWEEN_PAGES = "\n\n"
BROKEN_WORD = re.compile("[\ufffe\x02]\\s*")  # pdfium's marks for a hyphen at a line's end
NOT_TEXT = re.compile("[\x00-\x08\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def parse_pdf(
    name: str,
    content: bytes,
    *,
    max_pages: int,
    timeout_s: float = PARSE_TIMEOUT_S,
    worker: Sequence[str] = WORKER,
) -> ParsedDocument:
    """The text of a PDF.

    Raises EncryptedDocument, BrokenDocument (also when the parser crashed or took too long), EmptyDocument
    for pages without text, and PayloadTooLarge for more than `max_pages`.
    """
    answer = _ask(name, content, (*worker, str(max_pages)), timeout_s)
    match answer.get("error"):
        case None:
            return _joined(name, [_clean(page) for page in answer["pages"]])
        case "encrypted":
            raise EncryptedDocument(f"{name}: the PDF needs a password", hint="save a copy without one")
        case "pages":
            raise PayloadTooLarge(
                f"{name}: {answer['detail']} pages, but {max_pages} are allowed",
                hint="split it, or raise documents.max_pages",
            )
        case _:
            raise BrokenDocument(f"{name}: the PDF cannot be read: {answer['detail']}", hint="is it complete?")


def _ask(name: str, content: bytes, command: Sequence[str], timeout_s: float) -> dict[str, Any]:
    variables = environment()
    variables["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), variables.get("PYTHONPATH")]))
    try:
        done = subprocess.run(
            command, input=content, capture_output=True, timeout=timeout_s, env=variables, check=False
        )
    except subprocess.TimeoutExpired:
        raise BrokenDocument(f"{name}: parsing took longer than {timeout_s:g} s", hint="split the PDF") from None
    if done.returncode < 0:
        died = signal.Signals(-done.returncode).name
        raise BrokenDocument(f"{name}: the PDF crashed its parser ({died})", hint="print it to a new PDF")
    if done.returncode > 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise BrokenDocument(f"{name}: the PDF's parser failed: {lines[-1][:200]}", hint="print it to a new PDF")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _clean(page: str) -> str:
    text = page.replace("\r\n", "\n").replace("\r", "\n")
    return NOT_TEXT.sub("", BROKEN_WORD.sub("", text)).strip()


def _joined(name: str, pages: list[str]) -> ParsedDocument:
    if not any(pages):
        raise EmptyDocument(
            f"{name}: no text on its {len(pages)} page{'s' if len(pages) != 1 else ''}",
            hint="a scan needs text recognition first",
        )
    sections, offset = [], 0
    for number, page in enumerate(pages, start=1):
        if page:
            sections.append(Section(start=offset, end=offset + len(page), page=number))
        offset += len(page) + len(BETWEEN_PAGES)
    text = BETWEEN_PAGES.join(pages)
    return ParsedDocument(text=text, media_type=PDF, sections=tuple(sections), pages=len(pages))
