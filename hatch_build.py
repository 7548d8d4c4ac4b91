"""What pip asks before it makes a wheel or an sdist: the pages under /ui/ must be in it, built from these sources.

An editable install takes them from the checkout, where `make web` builds them. A wheel that is made from an sdist
finds them built.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

INTO = "deployments/gateway/web/dist"
SOURCES = ("index.html", "package.json", "package-lock.json", "vite.config.ts", "precompress.mjs", "public", "src")


class Pages(BuildHookInterface):
    """Builds the pages where that is needed, with npm. Raises RuntimeError where it can't."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling. version: `editable` for an editable install."""
        if version == "editable":
            return
        web = Path(self.root) / "web"
        if not is_current(web):
            build(web)
        if self.target_name == "wheel":
            build_data["force_include"][str(web / "dist")] = INTO


def is_current(web: Path) -> bool:
    """Whether there are built pages that no source is newer than."""
    index = web / "dist" / "index.html"
    if not index.is_file():
        return False
    found = (
        path for name in SOURCES for path in ((web / name).rglob("*") if (web / name).is_dir() else [web / name])
    )
    return all(path.stat().st_mtime <= index.stat().st_mtime for path in found if path.is_file())


def build(web: Path) -> None:
    """Run npm. Raises RuntimeError where there is none, or where it fails."""
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError(
            "The pages under /ui/ are not built, or older than their sources, and npm is not here to build them: "
            "install Node.js 20.19 or newer, or run `make web` elsewhere and bring web/dist"
        )
    for arguments in (["ci", "--silent"], ["run", "--silent", "build"]):
        done = subprocess.run([npm, *arguments], cwd=web, check=False)
        if done.returncode != 0:
            raise RuntimeError(
                f"The pages under /ui/ could not be built: npm {arguments[0]} failed (exit {done.returncode})"
            )
