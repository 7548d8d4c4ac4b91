"""The parsing process may crash, hang or fill its memory; whoever asked goes on."""

import sys
import threading
from pathlib import Path

import pytest

from cluster.errors import BrokenDocument
from cluster.settings.pipelines import DocumentSettings
from pipelines.documents.media import CSV, HTML
from pipelines.documents.parsed import Limits
from pipelines.documents.reader import read
from pipelines.documents.workers import ROOT, Work, Workers

LIMITS = Limits(max_pages=10, max_rows=10**6, max_characters=10**9, max_unpacked_bytes=10**9)
MIB = 1024**2
# A worker as ours, but for what it does with a document: `{code}` with the bytes in `content`.
SCRIPT = """
import os, signal, sys, time
sys.path.insert(0, {root!r})
from pipelines.documents.frames import Frame, awaits, receive, send
from pipelines.documents.parse_worker import told
from pipelines.documents.parsed import ParsedDocument
served = 0
send(1, Frame(header=dict(ready=True)))
while True:
    try:
        content = receive(0).body
    except EOFError:
        break
    served += 1
    {code}
    send(1, told(ParsedDocument(text=f"{{served}} {{os.getpid()}}", media_type="text/html", sections=())))
"""


def scripted(code: str) -> Workers:
    return Workers(1, (sys.executable, "-c", SCRIPT.format(root=str(ROOT), code=code)))


def work(content: bytes = b"<p>x", **different: object) -> Work:
    asked = {"name": "a.html", "media_type": HTML, "content": content, "limits": LIMITS}
    return Work(**(asked | {"timeout_s": 60.0, "memory_bytes": 1024 * MIB} | different))  # type: ignore[arg-type]


def served(workers: Workers, content: bytes = b"") -> tuple[int, int]:
    """How many documents the process had read by then, and its id."""
    count, pid = workers.parse(work(content)).text.split()
    return int(count), int(pid)


def test_one_process_reads_many_documents_until_one_kills_it() -> None:
    workers = scripted("content == b'die' and os.kill(os.getpid(), signal.SIGSEGV)")
    first, second = served(workers), served(workers)
    assert (first[0], second[0]) == (1, 2)
    assert first[1] == second[1]
    with pytest.raises(BrokenDocument, match=r"a\.html: it crashed its parser \(SIGSEGV\)"):
        workers.parse(work(b"die"))
    assert served(workers)[0] == 1
    workers.close()


def test_a_document_does_not_suffer_for_the_one_before() -> None:
    workers = scripted("served == 2 and os.kill(os.getpid(), signal.SIGABRT)")
    assert [served(workers)[0] for _ in range(3)] == [1, 1, 1]
    workers.close()


def test_a_worker_that_went_home_is_replaced() -> None:
    workers = scripted("")
    workers_slot = served(workers)
    workers._slots.queue[-1]._process.terminate()  # type: ignore[union-attr]
    assert served(workers)[1] != workers_slot[1]
    workers.close()


def test_a_document_that_takes_too_long_ends_its_worker_only() -> None:
    workers = scripted("content == b'sleep' and time.sleep(60)")
    served(workers)
    with pytest.raises(BrokenDocument, match=r"parsing took longer than 0\.2 s") as caught:
        workers.parse(work(b"sleep", timeout_s=0.2))
    assert "parse_timeout_s" in (caught.value.hint or "")
    assert served(workers)[0] == 1
    workers.close()


@pytest.mark.parametrize(
    ("code", "told"),
    [("raise SystemExit('no such thing')", "its parser failed: no such thing"), ("nonsense(", "its parser failed")],
)
def test_a_worker_that_cannot_work_says_why(code: str, told: str) -> None:
    with pytest.raises(BrokenDocument, match=told):
        Workers(1, (sys.executable, "-c", code)).parse(work())


def test_memory_and_time_are_bounded_for_the_document_alone() -> None:
    workers = Workers(1)
    with pytest.raises(BrokenDocument, match="took more memory than 128 MiB"):
        workers.parse(work(b"a\n" + b"x" * 16 * MIB, media_type=CSV, memory_bytes=128 * MIB))
    with pytest.raises(BrokenDocument, match="took longer than"):
        workers.parse(work(b"<p>word</p>" * 50_000, timeout_s=0.05))
    assert workers.parse(work(b"<p>fine")).text == "fine"
    workers.close()


def test_threads_share_the_workers() -> None:
    workers = scripted("")
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(served(workers)[0])) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(found) == [1, 2, 3, 4, 5, 6]
    workers.close()


def test_a_worker_ends_with_whoever_asked() -> None:
    workers = Workers(1)
    workers.parse(work())
    process = workers._slots.queue[-1]._process  # type: ignore[union-attr]
    process.stdin.close()  # as the system does for a process that was killed
    assert process.wait(20) == 0
    workers.close()


def test_large_text_is_left_to_a_worker_and_comes_back_whole() -> None:
    text = "Größe — 5 €\n" * 40_000
    parsed = read("a.txt", text.encode(), DocumentSettings())
    assert parsed.text == text
    assert [(section.start, section.end) for section in parsed.sections] == [(0, len(text))]


def test_nothing_that_a_parser_prints_reaches_the_answers(tmp_path: Path) -> None:
    code = "from pipelines.documents import parse_worker as w\n" + (
        "w.parse = lambda *a: print('noise', flush=True) or __import__('pipelines.documents.html').documents.html"
        ".parse_html(a[0], a[2], a[3])\nw.main()"
    )
    workers = Workers(1, (sys.executable, "-c", code))
    assert workers.parse(work(b"<p>clear")).text == "clear"
    workers.close()
