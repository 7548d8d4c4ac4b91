"""Documents through the real cluster: ingest by command and by upload, ask with citations."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.live.conftest import ROOT, RunningCluster
from tests.unit.documents.pdfs import pdf

pytestmark = pytest.mark.live

MILL = "The mill of Orla Venn stands by the river Tamsin.", "It grinds barley on Thursdays."


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder inside the one that configs/demo.yaml allows, which is the checkout."""
    import shutil
    import tempfile

    made = Path(tempfile.mkdtemp(prefix="live-documents-", dir=ROOT / "tests"))
    (made / "mill.pdf").write_bytes(pdf(*MILL))
    (made / "bridge.md").write_text("# Bridge\n\n## Toll\n\nThe toll of the Amber Bridge is three copper coins.\n")
    (made / "tower.txt").write_text("The Selwyn tower has ninety-one steps and a green bell.\n")
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def api(cluster: RunningCluster) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{cluster.url}/api/v1", timeout=120) as client:
        yield client


def test_a_folder_is_ingested_once_and_found_with_its_pages(
    cluster: RunningCluster, api: httpx.Client, folder: Path
) -> None:
    first = cluster.run("ingest", str(folder), timeout=200)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "3 stored (4 chunks), 0 unchanged, 0 failed" in first.stdout
    found = api.post("/rag/search", json={"query": "What does the mill grind?", "limit": 1}).json()["passages"][0]
    assert found["source"].endswith("mill.pdf")
    assert (found["page"], found["text"]) == (2, "It grinds barley on Thursdays.")
    again = cluster.run("ingest", str(folder), timeout=200)
    assert "0 stored (0 chunks), 3 unchanged, 0 failed" in again.stdout


def test_a_question_on_the_command_line_is_answered_with_its_source(cluster: RunningCluster, folder: Path) -> None:
    told = cluster.run("ask", "What is the toll of the Amber Bridge?", timeout=120)
    assert told.returncode == 0, told.stderr
    assert "bridge.md, Bridge > Toll" in told.stdout
    assert told.stdout.splitlines()[0].strip()


def test_an_upload_is_answered_from_at_once(api: httpx.Client) -> None:
    text = b"The ferry to Quill Island leaves at dawn."
    stored = api.post("/documents", files={"file": ("ferry.txt", text)})
    assert stored.status_code == 201, stored.text
    answer = api.post("/rag/query", json={"query": "When does the ferry to Quill Island leave?"}).json()
    assert answer["citations"][0]["source"] == "ferry.txt"
    assert answer["answer"]
    assert api.delete(f"/documents/{stored.json()['id']}").status_code == 200


def test_a_large_upload_is_stored_by_a_job(api: httpx.Client) -> None:
    lines = "\n".join(f"Lamp {number} of the harbour burns until {number} o'clock." for number in range(12_000))
    queued = api.post("/documents", files={"file": ("lamps.txt", lines.encode())})
    assert queued.status_code == 202, queued.text
    deadline = time.monotonic() + 280
    while (shown := api.get(queued.json()["status_url"].removeprefix("/api/v1")).json())["state"] != "done":
        assert shown["state"] != "failed", shown
        assert time.monotonic() < deadline, shown
        time.sleep(1)
    assert shown["chunks"]["done"] == shown["chunks"]["total"] > 1000
    stored = {document["source"]: document["id"] for document in api.get("/documents").json()["documents"]}
    assert api.delete(f"/documents/{stored['lamps.txt']}").status_code == 200


def test_broken_documents_fail_alone_and_the_command_says_so(cluster: RunningCluster, folder: Path) -> None:
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 broken")
    (folder / "good.txt").write_text("The well of Hartmoor is eleven fathoms deep.")
    done = cluster.run("ingest", str(folder / "broken.pdf"), str(folder / "good.txt"), timeout=200)
    assert done.returncode == 1
    assert "1 stored (1 chunks), 0 unchanged, 1 failed" in done.stdout
    assert "broken_document" in done.stdout


@pytest.mark.parametrize(
    ("path", "told", "code"), [("/etc/hostname", "outside the folders", 2), ("pyproject.toml", "not read", 1)]
)
def test_paths_that_may_not_be_read_are_refused_in_one_line(
    cluster: RunningCluster, path: str, told: str, code: int
) -> None:
    done = cluster.run("ingest", path, timeout=60)
    assert done.returncode == code
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
