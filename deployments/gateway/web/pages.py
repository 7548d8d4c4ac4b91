"""What the UI's paths answer: a built file, the one page behind all of its own paths, or that nothing is built.

The files are public: they hold no data, and what they ask for needs its rights like any other client's request.
"""

import posixpath
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from cluster.errors import Unavailable

PACKAGED = Path(__file__).parent / "dist"  # in a wheel: see hatch_build.py
CHECKOUT = Path(__file__).parents[3] / "web" / "dist"  # where `make web` puts them
DIST = PACKAGED if PACKAGED.is_dir() else CHECKOUT
"""Where the built files are."""

INDEX = "index.html"
ASSETS = "assets/"  # Vite names them by their content's hash: one that changes has another name
FOREVER = "public, max-age=31536000, immutable"
ASK_FIRST = "no-cache"  # kept, and compared by its ETag before each use
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# What the build writes beside a file, the smallest first. Whoever asks for a part gets one of the plain file.
ENCODINGS = {"br": ".br", "gzip": ".gz"}
# Python asks the machine for the types of names, and machines differ.
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html"}

NOT_BUILT = "The pages are not built"
HOW_TO_BUILD = "make web builds them, where npm is; the APIs work without"
NOT_BUILT_PAGE = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Heliostat</title>
<h1>{NOT_BUILT}</h1>
<p><code>make web</code> in the checkout builds them, where npm is. The server needs no restart then, and its
APIs work without: <a href="/docs">/docs</a> lists them.</p></html>
"""


class Pages:
    """The built files of a folder, which may come and go while the server runs."""

    def __init__(self, folder: Path = DIST) -> None:
        self._folder = folder
        self._files = StaticFiles(directory=folder, check_dir=False)

    async def answer(self, request: Request, path: str) -> Response:
        """The file of a path below `/ui/`.

        A path that is no file is one of the app's own when a browser goes there; for anybody else there is nothing.
        Raises Unavailable where nothing is built, HTTPException 404.
        """
        if not (self._folder / INDEX).is_file():
            if navigates(request):
                headers = {"cache-control": "no-store", "content-security-policy": POLICY}
                return HTMLResponse(NOT_BUILT_PAGE, status_code=503, headers=headers)
            raise Unavailable(NOT_BUILT, hint=HOW_TO_BUILD)
        name = path or INDEX
        try:
            response = await self._file(name, request)
        except HTTPException:
            if not navigates(request) or name.startswith(ASSETS):
                raise HTTPException(404) from None
            name = INDEX
            response = await self._file(name, request)
        return _described(response, name)

    async def _file(self, name: str, request: Request) -> Response:
        """Raises HTTPException 404. `assets/../index.html` is no asset to be kept for good: a file has one name."""
        if posixpath.normpath(name) != name or name.endswith(tuple(ENCODINGS.values())):
            raise HTTPException(404)
        for encoding in accepted(request):
            try:
                response = await self._files.get_response(name + ENCODINGS[encoding], request.scope)
            except HTTPException:
                continue
            if "content-type" in response.headers:  # 304 has none
                response.headers["content-encoding"] = encoding
            return response
        return await self._files.get_response(name, request.scope)


def navigates(request: Request) -> bool:
    """Whether a browser goes to a page, which it says it wants HTML for."""
    return "text/html" in request.headers.get("accept", "")


def accepted(request: Request) -> list[str]:
    """The encodings that a client takes, those that it likes most first; none for a part of a file."""
    if "range" in request.headers:
        return []
    told: dict[str, float] = {}
    for part in request.headers.get("accept-encoding", "").split(","):
        name, _, weight = part.partition(";")
        told[name.strip().lower()] = _weight(weight)
    weights = {name: told.get(name, told.get("*", 0.0)) for name in ENCODINGS}
    return sorted((name for name, weight in weights.items() if weight > 0), key=lambda name: -weights[name])


def _weight(parameter: str) -> float:
    """Of `q=0.5`; 1 where none is said, 0 where it is no number."""
    name, _, value = parameter.strip().partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


def _described(response: Response, name: str) -> Response:
    kind = TYPES.get(Path(name).suffix)
    if kind is not None and "content-type" in response.headers:  # 304 has none
        response.headers["content-type"] = f"{kind}; charset=utf-8"
    response.headers["cache-control"] = FOREVER if name.startswith(ASSETS) else ASK_FIRST
    response.headers["content-security-policy"] = POLICY  # of a picture, too: SVG may hold scripts
    response.headers["vary"] = "accept, accept-encoding" if name == INDEX else "accept-encoding"
    return response
