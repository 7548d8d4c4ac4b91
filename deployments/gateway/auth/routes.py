"""`/api/v1/auth`: signing in, staying in, out, and who one is."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from cluster.errors import BadRequest, PermissionDenied
from cluster.settings.tree import Settings
from deployments.gateway.auth.authenticator import Identity, answered
from deployments.gateway.auth.directory import Directory, required
from deployments.gateway.auth.logins import SignedIn
from deployments.gateway.auth.wire import LoginRequest, PasswordRequest, RefreshRequest, iso, shown_account
from deployments.gateway.bodies import json_body
from deployments.gateway.parsing import parse
from deployments.gateway.principal import LOCAL


def router(settings: Settings, directory: Directory | None) -> APIRouter:
    """The routes. directory: None where authentication is off."""
    routes = APIRouter(prefix="/api/v1/auth", tags=["Accounts"])
    proxies = settings.auth.trusted_proxies

    @routes.post("/login", summary="Sign in", openapi_extra=json_body(LoginRequest))
    async def login(request: Request) -> dict[str, Any]:
        known = required(directory)
        wanted = parse(LoginRequest, await request.body())
        signed_in = await known.logins.login(
            wanted.email, wanted.password, address=client_address(request, proxies)
        )
        return _shown(signed_in, known)

    @routes.post("/refresh", summary="Stay signed in", openapi_extra=json_body(RefreshRequest))
    async def refresh(request: Request) -> dict[str, Any]:
        known = required(directory)
        wanted = parse(RefreshRequest, await request.body())
        return _shown(await known.logins.refresh(wanted.refresh_token), known)

    @routes.post("/logout", status_code=204, summary="Sign out")
    async def logout(request: Request) -> Response:
        known = required(directory)
        await known.logins.logout(_session_of(request))
        known.authenticator.forget()
        return Response(status_code=204)

    @routes.get("/me", summary="Who asks, and what they may do")
    async def me(request: Request) -> dict[str, Any]:
        return await _introduced(identity_of(request), directory)

    @routes.post(
        "/password", status_code=204, summary="Change one's password", openapi_extra=json_body(PasswordRequest)
    )
    async def password(request: Request) -> Response:
        known = required(directory)
        session_id = _session_of(request)
        wanted = parse(PasswordRequest, await request.body())
        await known.logins.change_password(
            identity_of(request).principal.id,
            session_id,
            current=wanted.current_password,
            new=wanted.new_password,
            address=client_address(request, proxies),
        )
        known.authenticator.forget()
        return Response(status_code=204)

    return routes


def identity_of(request: Request) -> Identity:
    """Who asks, and by which credential."""
    identity: Identity = getattr(request.state, "identity", Identity(principal=LOCAL))
    return identity


def client_address(request: Request, proxies: int) -> str | None:
    """Where a request comes from. proxies: how many in front of us add to `X-Forwarded-For`, and are believed.

    HAProxy of our own is none of them: it says who its client is where no client can (cluster/runtime/ingress.py).
    """
    if proxies:
        # What stands further left was sent by the client, which may write there what it likes.
        hops = [hop.strip() for line in request.headers.getlist("x-forwarded-for") for hop in line.split(",")]
        if len(hops) >= proxies:
            return hops[-proxies][:64]
    return request.client.host if request.client else None


def _session_of(request: Request) -> str:
    session_id = identity_of(request).session_id
    if session_id is None:
        raise BadRequest("An API key is not signed in", hint="send the access token of /api/v1/auth/login")
    return session_id


async def _introduced(identity: Identity, directory: Directory | None) -> dict[str, Any]:
    who, email = identity.principal, None
    if directory is not None and identity.session_id is not None:
        email = (await answered(lambda: directory.accounts.get(who.id))).name
    limits = who.owner_limits if identity.session_id is not None else who.limits
    kind = "key" if identity.key_id else "person" if identity.session_id else "local"
    if kind == "local" and directory is not None:
        raise PermissionDenied("Nobody asks")
    return {
        "id": who.id,
        "kind": kind,
        "owner": who.owner,
        "email": email,
        "role": who.role,
        "scopes": None if who.scopes is None else sorted(who.scopes),
        "models": None if who.models is None else sorted(who.models),
        "requests_per_minute": limits.requests_per_minute,
        "tokens_per_minute": limits.tokens_per_minute,
        "concurrent_requests": limits.concurrent_requests,
        "expires_at": iso(identity.ends),
    }


def _shown(signed_in: SignedIn, directory: Directory) -> dict[str, Any]:
    opened = signed_in.opened
    return {
        "access_token": signed_in.access_token,
        "token_type": "bearer",
        "expires_in": int(directory.tokens.life.total_seconds()),
        "refresh_token": opened.refresh_token,
        "refresh_expires_at": iso(opened.session.expires_at),
        "user": shown_account(signed_in.account),
    }
