"""Routes whose endpoints FastAPI reads once in a process, and not again for each test's app.

Reading signatures and building validators takes an app tens of milliseconds, and there are hundreds of apps. The
endpoint of a route is its app's own, with all it closes over; what is kept is what FastAPI read, and it is taken
only where all that it reads is equal: the path, the options, and the function's code, annotations and defaults.
"""

from collections.abc import Callable
from copy import copy
from typing import Any

from fastapi.routing import APIRoute, request_response

Options = dict[str, Any]

_genuine = APIRoute.__init__
_known: dict[tuple[str, Any], list[tuple[Options, APIRoute]]] = {}


def install() -> None:
    """Have all routes of this process made so."""
    APIRoute.__init__ = _made  # type: ignore[method-assign]


def _made(route: APIRoute, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
    code = getattr(endpoint, "__code__", None)  # a class that is called, or a partial, has none
    if code is None or options.get("dependency_overrides_provider") is not None:  # an app, which is its own
        _genuine(route, path, endpoint, **options)
        return
    read = {name: getattr(endpoint, f"__{name}__") for name in ("annotations", "defaults", "kwdefaults", "doc")}
    read |= options
    alike = _known.setdefault((path, code), [])
    found = next((pattern for said, pattern in alike if said == read), None)
    if found is None:
        _genuine(route, path, endpoint, **options)
        alike.append((read, _without_endpoint(route)))
        return
    route.__dict__.update(found.__dict__)
    route.endpoint = endpoint
    route.dependant = copy(found.dependant)
    route.dependant.call = endpoint
    route.app = request_response(route.get_route_handler())


def _without_endpoint(route: APIRoute) -> APIRoute:
    """What was read of it. Nothing of its app is kept alive."""
    pattern = copy(route)
    pattern.endpoint = pattern.app = None  # type: ignore[assignment]
    pattern.dependant = copy(route.dependant)
    pattern.dependant.call = None
    pattern.dependant.__dict__.pop("cache_key", None)
    return pattern
