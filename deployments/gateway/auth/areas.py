"""What is where: each path belongs to an area, and an area says who may use it.

This is the one table of rights. A path in no area is nobody's but an admin's, so that a route that was
forgotten here is closed; a test walks all routes and finds each in an area.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cluster.errors import HeliostatError, NotFound, PermissionDenied
from deployments.gateway.principal import Principal, Role


class Access(StrEnum):
    """Who may use an area."""

    SCOPED = "scoped"  # users, and viewers to read; a key with scopes needs the area among them
    EVERYBODY = "everybody"  # whoever is known, by any method
    ADMIN = "admin"  # admins; a key with scopes needs the area among them


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """A part of the API. prefixes: paths that begin it, whole segments only."""

    name: str
    prefixes: tuple[str, ...]
    access: Access = Access.SCOPED


AREAS = (
    # Before the area of its longer prefix: the first that fits is a path's.
    Area(name="providers", prefixes=("/api/llm/provider/switch",), access=Access.ADMIN),
    Area(
        name="chat",
        prefixes=(
            "/v1/chat",
            "/v1/completions",
            "/v1/responses",
            "/v1/messages",
            "/tokenize",
            "/detokenize",
            "/v1/tokenize",
            "/v1/detokenize",
            "/api/chat",
            "/api/generate",
            "/api/v1/models/generate",
        ),
    ),
    Area(
        name="embeddings",
        prefixes=(
            "/v1/embeddings",
            "/api/v1/embeddings",
            "/api/hpc-metrics",
            "/v1/rerank",
            "/v1/score",
            "/rerank",
            "/score",
            "/api/embed",
            "/api/embeddings",
        ),
    ),
    Area(
        name="models",
        prefixes=("/v1/models", "/api/llm", "/api/version", "/api/tags", "/api/ps", "/api/show"),
        access=Access.EVERYBODY,
    ),
    Area(name="fleet", prefixes=("/api/v1/models",)),
    Area(name="files", prefixes=("/v1/files", "/v1/uploads")),
    Area(name="batches", prefixes=("/v1/batches",)),
    Area(
        name="documents",
        prefixes=("/api/v1/documents", "/api/v1/rag", "/api/v1/collections", "/v1/vector_stores"),
    ),
    Area(
        name="experiments",
        prefixes=(
            "/api/experiments",
            "/api/responses",
            "/api/metrics",
            "/api/analytics",
            "/api/export",
            "/api/v1/experiments",
            "/api/v1/sweeps",
        ),
    ),
    Area(name="conversations", prefixes=("/api/v1/conversations", "/api/v1/stream-sessions")),
    Area(name="keys", prefixes=("/api/v1/keys",)),
    Area(name="account", prefixes=("/api/v1/auth",), access=Access.EVERYBODY),
    Area(
        name="admin",
        prefixes=("/api/v1/users", "/api/v1/admin", "/api/v1/events", "/api/pull", "/api/delete"),
        access=Access.ADMIN,
    ),
    Area(name="graphql", prefixes=("/graphql",), access=Access.EVERYBODY),  # each field asks for its route's rights
    Area(name="pages", prefixes=("/ui",), access=Access.EVERYBODY),
    Area(
        name="docs",
        prefixes=("/docs", "/redoc", "/openapi.json", "/static-offline-docs"),
        access=Access.EVERYBODY,
    ),
)

SCOPES = frozenset(area.name for area in AREAS if area.access is not Access.EVERYBODY)
"""What a key's scopes may name."""

OPEN = frozenset(
    {
        ("GET", "/"),
        ("HEAD", "/"),
        ("GET", "/health"),
        ("HEAD", "/health"),
        ("GET", "/api/health"),
        ("HEAD", "/api/health"),
        ("POST", "/api/v1/auth/login"),
        ("POST", "/api/v1/auth/refresh"),
    }
)
"""What needs no credentials, by method and whole path. But for the pages, everything else does."""

OPEN_BELOW = "/ui"
"""The pages' built files, the same for everybody: a browser that goes there cannot send credentials yet."""

SAYS_LATER = frozenset({"/graphql"})
"""WebSockets that may be opened without credentials: their routes ask for them in the first message."""

SECRET_AREAS = frozenset({"account", "keys", "admin"})
"""Areas whose answers no cache may keep."""

READING = frozenset({"GET", "HEAD", "OPTIONS"})
SOCKET = "WEBSOCKET"
"""The method of a WebSocket's handshake here: what follows may write."""

_RANK = {Role.VIEWER: 0, Role.USER: 1, Role.ADMIN: 2}


def area_of(path: str) -> Area | None:
    """The area that a path is in; None where it is in none."""
    for area in AREAS:
        for prefix in area.prefixes:
            if path.startswith(prefix) and (len(path) == len(prefix) or path[len(prefix)] == "/"):
                return area
    return None


def is_open(method: str, path: str) -> bool:
    """Whether a request needs no credentials."""
    pages = path == OPEN_BELOW or path.startswith(f"{OPEN_BELOW}/")
    return (method, path) in OPEN or (pages and method in {"GET", "HEAD"})


def route_path(scope: Mapping[str, Any]) -> str:
    """The path of an ASGI scope as the routes see it: below the prefix that Serve mounts the app at."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


def refusal(principal: Principal, method: str, path: str) -> HeliostatError | None:
    """Why somebody may not do this; None where they may."""
    area = area_of(path)
    if area is None:
        # The same answer for a path that does not exist and for one that an admin alone may know of.
        unknown = NotFound(f"No such path: {path[:200]}", hint="GET /docs lists them all")
        return None if principal.role is Role.ADMIN and principal.scopes is None else unknown
    if area.access is Access.EVERYBODY:
        return None
    if principal.scopes is not None and area.name not in principal.scopes:
        hint = f"the key has {', '.join(sorted(principal.scopes)) or 'none'}"
        return PermissionDenied(f"This key's scopes do not hold {area.name!r}", hint=hint)
    needed = Role.ADMIN if area.access is Access.ADMIN else Role.VIEWER if method in READING else Role.USER
    if not at_least(principal.role, needed):
        return PermissionDenied(f"This needs the role {needed}", hint=f"yours is {principal.role}")
    return None


def at_least(role: Role, needed: Role) -> bool:
    """Whether a role may do what another may."""
    return _RANK[role] >= _RANK[needed]


def narrower(one: Role, other: Role) -> Role:
    """The role that may do less."""
    return one if at_least(other, one) else other
