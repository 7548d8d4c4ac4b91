"""Routes that answer nothing to a query they do not know: a misspelt parameter is named, never ignored."""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, get_args, get_origin

from fastapi import Request, Response
from fastapi.dependencies.utils import get_flat_dependant
from fastapi.routing import APIRoute

from cluster.errors import BadRequest

SHOWN = 64  # characters of a name that an error repeats


class StrictRoute(APIRoute):
    """A route that refuses parameters of the query that it does not have, and one given twice that it has once."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See FastAPI: what answers the route's requests. It raises BadRequest naming the parameter."""
        answer = super().get_route_handler()
        fields = get_flat_dependant(self.dependant).query_params
        known = {field.alias: _several(field.field_info.annotation) for field in fields}

        async def checked(request: Request) -> Response:
            if request.url.query:
                _check([name for name, _ in request.query_params.multi_items()], known)
            return await answer(request)

        return checked


def _check(given: Iterable[str], known: dict[str, bool]) -> None:
    """known: by name whether it may come again."""
    seen = set()
    for name in given:
        if name not in known:
            hint = f"known: {', '.join(sorted(known))}" if known else "this path takes none"
            shown = name[:SHOWN]
            raise BadRequest(f"Unknown parameter of the query: {shown}", hint=hint, param=shown)
        if name in seen and not known[name]:
            raise BadRequest(f"The query gives {name} twice", hint="name it once", param=name)
        seen.add(name)


def _several(annotation: Any) -> bool:
    """Whether a parameter is a list."""
    return get_origin(annotation) is list or any(map(_several, get_args(annotation)))
