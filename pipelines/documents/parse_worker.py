"""The process that parses: one document after another from its stdin, each answered on its stdout.

It is where a parser may crash, hang or fill its memory, alone. Its memory and its processor time are bounded, and
it writes no file but its stderr. It ends by itself: when nobody asks any more, when whoever asked is gone, and when
a document has left it large, for memory that was freed is seldom given back.

It says `ready` when it has started. A request's header has name, media_type, limits, memory_bytes and cpu_s. An
answer's is a document's (media_type, pages, sections; the body is the text in UTF-8) or an error's (code, message,
hint), where the code `memory` means that there was too little.
"""

import os
import resource
import sys
from dataclasses import astuple
from typing import Any

from cluster.errors import HeliostatError
from pipelines.documents.frames import Frame, awaits, receive, send
from pipelines.documents.parsed import Limits, ParsedDocument
from pipelines.documents.parsers import parse

IDLE_S = 60.0
LARGE_KIB = 400 * 1024  # resident, at its most: a worker is 40 MiB when it starts
MAX_FILE_BYTES = 64 * 1024  # its stderr
NO_MEMORY = "memory"


def main() -> None:
    """Answer until nobody asks."""
    answers = os.dup(1)
    os.dup2(2, 1)  # what a library prints must not stand between two answers
    _bound(resource.RLIMIT_CORE, 0)
    _bound(resource.RLIMIT_FSIZE, MAX_FILE_BYTES)
    send(answers, Frame(header={"ready": True}))
    while awaits(0, IDLE_S):
        try:
            request = receive(0)
        except EOFError:
            return
        answer = _answer(request)
        send(answers, answer)
        if answer.header.get("code") == NO_MEMORY or _is_large():
            return


def _answer(request: Frame) -> Frame:
    asked = request.header
    _bound(resource.RLIMIT_AS, int(asked["memory_bytes"]))
    _bound(resource.RLIMIT_CPU, int(_used_s() + asked["cpu_s"]) + 1)
    try:
        document = parse(asked["name"], asked["media_type"], request.body, Limits(**asked["limits"]))
        return told(document)
    except HeliostatError as error:
        return Frame(header={"code": error.code, "message": error.message, "hint": error.hint})
    except MemoryError:
        pass  # and let go of all that the parser held, before anything else is made
    except Exception as error:  # noqa: BLE001 - a parser's own fault, whatever it is, is this document's
        return Frame(header={"code": type(error).__name__, "message": str(error)[:200], "hint": None})
    return Frame(header={"code": NO_MEMORY})


def told(document: ParsedDocument) -> Frame:
    """A document as an answer."""
    header: dict[str, Any] = {
        "media_type": document.media_type,
        "pages": document.pages,
        "sections": [astuple(section) for section in document.sections],
    }
    return Frame(header=header, body=document.text.encode())


def _bound(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _used_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _is_large() -> bool:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most > (LARGE_KIB * 1024 if sys.platform == "darwin" else LARGE_KIB)


if __name__ == "__main__":
    main()
