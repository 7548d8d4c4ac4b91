"""`/ui/`: the pages; and `/`, from where a browser is sent to them."""

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from deployments.gateway.web.pages import Pages, navigates

PREFIX = "/ui"
METHODS = ["GET", "HEAD"]


def router(pages: Pages | None = None) -> APIRouter:
    """The routes. pages: those of the checkout by default."""
    routes = APIRouter(include_in_schema=False)
    shown = pages or Pages()

    @routes.api_route("/", methods=METHODS)
    async def home(request: Request) -> Response:
        if not navigates(request):
            raise HTTPException(404)
        return _to_pages(request)

    @routes.api_route(PREFIX, methods=METHODS)
    async def bare(request: Request) -> Response:
        return _to_pages(request)

    @routes.api_route(f"{PREFIX}/{{path:path}}", methods=METHODS)
    async def page(path: str, request: Request) -> Response:
        return await shown.answer(request, path)

    return routes


def _to_pages(request: Request) -> Response:
    """307: nothing that a browser would remember for good."""
    return RedirectResponse(f"{request.scope.get('root_path', '')}{PREFIX}/", headers={"vary": "accept"})
