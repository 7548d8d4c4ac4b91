"""The routes of routers, served as they are.

FastAPI's `include_router` makes each route of a router again: the endpoint's signature is read and its models are
built a second time, and a third where a router is part of another.
"""

from fastapi import APIRouter, FastAPI


def take(into: FastAPI | APIRouter, *routers: APIRouter) -> None:
    """Serve the routers' routes, whose paths and tags are already whole, and do what they do at start and stop."""
    target = into.router if isinstance(into, FastAPI) else into
    for router in routers:
        target.routes += router.routes
        target.include_router(APIRouter(lifespan=router.lifespan_context))
