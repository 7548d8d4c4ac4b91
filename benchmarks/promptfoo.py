"""promptfoo on our endpoint, for `sweep_peers.py`: the same prompts under the same settings.

It is installed once, by npm, into `.heliostat/peers`, and gets a configuration folder of its own. It sends nothing
to anybody: no telemetry, no look for a newer one, no sharing. Its cache is off, and so is the store of its results:
it writes one file.
"""

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peers
import sweep_cells as cells
from peers import MODEL, Server

VERSION = "0.120.19"  # MIT; the newest that runs on Node.js 20
QUIET = {
    "PROMPTFOO_DISABLE_TELEMETRY": "1",
    "PROMPTFOO_DISABLE_UPDATE": "1",
    "PROMPTFOO_DISABLE_REMOTE_GENERATION": "1",
    "PROMPTFOO_DISABLE_SHARING": "1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated(cells.Swept):
    """An evaluation that is over. at_once: its concurrency. seconds: of its cells, as it counts them itself."""

    at_once: int


def install() -> Path:
    """Its program, where it is not there yet."""
    folder = peers.ROOT / ".heliostat" / "peers" / "promptfoo"
    program = folder / "node_modules" / ".bin" / "promptfoo"
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", str(folder)]
        subprocess.run([*command, f"promptfoo@{VERSION}"], check=True, env=os.environ | QUIET)
    return program


def config_of(server: Server) -> dict[str, Any]:
    """A provider for each setting, a test for each prompt."""
    providers = [
        {
            "id": f"openai:chat:{MODEL}",
            "label": f"temperature {temperature}, top_p {top_p}",
            "config": {
                "apiBaseUrl": f"{server.url}/v1",
                "temperature": temperature,
                "top_p": top_p,
                "max_tokens": cells.TOKENS,
                "passthrough": {"ignore_eos": True},
            },
        }
        for temperature in cells.TEMPERATURES
        for top_p in cells.TOP_PS
    ]
    return {
        "description": "peers",
        "prompts": ["{{asked}}"],
        "providers": providers,
        "tests": [{"vars": {"asked": text}} for text in cells.prompts()],
    }


def evaluate(server: Server, *, at_once: int, repeats: int) -> Evaluated:
    """One evaluation. Raises RuntimeError where it writes no results."""
    folder = server.log.parent
    config, out, log = folder / "promptfoo.json", folder / "promptfoo-out.json", folder / "promptfoo.log"
    config.write_text(json.dumps(config_of(server)), encoding="utf-8")
    out.unlink(missing_ok=True)
    command = [
        str(install()), "eval", "--config", str(config), "--output", str(out), "--no-cache", "--no-write",
        "--no-table", "--no-progress-bar", "--no-share", "--max-concurrency", str(at_once),
        "--repeat", str(repeats),
    ]  # fmt: skip
    env = os.environ | QUIET | {"OPENAI_API_KEY": server.key, "PROMPTFOO_CONFIG_DIR": str(folder / "promptfoo")}
    begun = time.perf_counter()
    with log.open("wb") as said:
        subprocess.run(command, env=env, cwd=folder, stdout=said, stderr=said, check=False)
    whole = time.perf_counter() - begun
    if not out.exists():
        raise RuntimeError(f"promptfoo wrote no results:\n{log.read_text(errors='replace')[-2000:]}")
    stats = json.loads(out.read_text(encoding="utf-8"))["results"]["stats"]
    failed = stats["failures"] + stats["errors"]
    return Evaluated(
        at_once=at_once,
        cells=stats["successes"] + failed,
        failed=failed,
        tokens=stats["tokenUsage"]["completion"],
        seconds=stats["durationMs"] / 1000,
        whole_s=whole,
    )
