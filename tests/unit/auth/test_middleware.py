"""What happens before every route: HTTP and WebSocket."""

import asyncio
import time
from typing import Any

import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from cluster.errors import Unavailable
from deployments.gateway.auth.areas import AREAS, OPEN, Access, area_of, refusal
from deployments.gateway.auth.authenticator import Authenticator, Identity
from deployments.gateway.auth.middleware import Authentication
from deployments.gateway.principal import NOBODY, Principal, Role
from tests.unit.auth.conftest import House, house_with
from tests.unit.waiting import until


def who(role: Role, *scopes: str) -> Principal:
    return Principal(id="key_1", owner="o", role=role, scopes=frozenset(scopes) or None)


@pytest.mark.parametrize(
    ("principal", "method", "path", "status"),
    [
        (who(Role.VIEWER), "GET", "/api/v1/documents", None),
        (who(Role.VIEWER), "POST", "/api/v1/documents", 403),
        (who(Role.VIEWER), "POST", "/v1/chat/completions", 403),
        (who(Role.VIEWER), "WEBSOCKET", "/v1/chat/socket", 403),
        (who(Role.VIEWER), "POST", "/api/v1/auth/password", None),
        (who(Role.USER), "POST", "/v1/chat/completions", None),
        (who(Role.USER), "WEBSOCKET", "/v1/chat/socket", None),
        (who(Role.USER), "GET", "/api/v1/users", 403),
        (who(Role.USER), "GET", "/api/v1/users/x", 403),
        (who(Role.USER), "GET", "/no/such/path", 404),
        (who(Role.USER), "GET", "/v1/chatter", 404),
        (who(Role.ADMIN), "DELETE", "/api/v1/users/x", None),
        (who(Role.ADMIN), "GET", "/no/such/path", None),
        (who(Role.ADMIN, "chat"), "GET", "/no/such/path", 404),
        (who(Role.ADMIN, "chat"), "GET", "/api/v1/users", 403),
        (who(Role.ADMIN, "admin"), "GET", "/api/v1/users", None),
        (who(Role.USER, "chat"), "POST", "/v1/chat/completions", None),
        (who(Role.USER, "chat"), "POST", "/v1/embeddings", 403),
        (who(Role.USER, "chat"), "GET", "/v1/models", None),
        (who(Role.USER, "chat"), "GET", "/api/v1/auth/me", None),
        (NOBODY, "GET", "/v1/files", 403),
    ],
)
def test_the_table_of_rights(principal: Principal, method: str, path: str, status: int | None) -> None:
    error = refusal(principal, method, path)
    assert (None if error is None else error.status) == status


def test_no_prefix_hides_in_another() -> None:
    for area in AREAS:
        for prefix in area.prefixes:
            assert area_of(prefix) is area
            assert area_of(f"{prefix}/x") is area
            assert area_of(f"{prefix}x") is not area


def test_only_an_admin_reaches_what_is_an_admins() -> None:
    closed = [area for area in AREAS if area.access is Access.ADMIN]
    assert closed
    for area in closed:
        assert refusal(who(Role.USER), "GET", area.prefixes[0]) is not None


def test_what_is_open_is_short() -> None:
    paths = {"/", "/health", "/api/health", "/api/v1/auth/login", "/api/v1/auth/refresh"}
    assert {path for _, path in OPEN} == paths


async def test_a_route_sees_who_asks_and_their_limits(house: House) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["state"]["principal"])

    guard = Authentication(app, authenticator=house.directory.authenticator)
    headers = house.key("ann", requests_per_minute=7, tokens_per_minute=8, concurrent_requests=9)
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": raw}
    await guard(scope, None, None)  # type: ignore[arg-type]
    limits = seen[0].limits
    assert (seen[0].owner, limits.requests_per_minute, limits.tokens_per_minute) == ("ann", 7, 8)
    assert limits.concurrent_requests == 9


async def test_an_open_path_is_nobodys_even_with_an_admins_key(house: House) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["state"]["principal"])

    guard = Authentication(app, authenticator=house.directory.authenticator)
    await guard({"type": "http", "method": "GET", "path": "/health", "headers": []}, None, None)  # type: ignore[arg-type]
    assert seen == [NOBODY]


async def test_a_mounted_app_is_closed_below_its_prefix_too(house: House) -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["path"])

    async def send(message: Any) -> None:
        seen.append(str(message.get("status", "")))

    guard = Authentication(app, authenticator=house.directory.authenticator)
    for path in ("/llm/health", "/llm/v1/models", "/health", "/llmhealth"):
        scope = {"type": "http", "method": "GET", "path": path, "root_path": "/llm", "headers": []}
        await guard(scope, None, send)  # type: ignore[arg-type]
    assert [entry for entry in seen if entry] == ["/llm/health", "401", "/health", "401"]


async def test_a_valid_key_costs_less_than_a_fifth_of_a_millisecond(house: House) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        return None

    guard = Authentication(app, authenticator=house.directory.authenticator)
    raw = [(b"host", b"h"), *[(b"x-%d" % number, b"v") for number in range(12)]]
    raw += [(name.encode(), value.encode()) for name, value in house.key().items()]
    scope = {"type": "http", "method": "POST", "path": "/api/v1/conversations/1/messages", "headers": raw}
    await guard(scope, None, None)  # type: ignore[arg-type]
    times = []
    for _ in range(20):
        began = time.thread_time()  # of this thread alone: the machine may have other work
        for _ in range(20):
            await guard(dict(scope), None, None)  # type: ignore[arg-type]
        times.append((time.thread_time() - began) / 20)
    assert min(times) < 0.0002


async def test_a_key_in_steady_use_is_never_waited_for(house: House) -> None:
    now = 100.0
    looks: list[str] = []

    class Keys:
        def find(self, digest: str) -> Any:
            looks.append(digest)
            return house.directory.keys.find(digest)

        def note_use(self, key_id: str) -> None:
            pass

    known = house.directory
    guard = Authenticator(Keys(), known.sessions, known.tokens, believed_s=5, clock=lambda: now)  # type: ignore[arg-type]
    secret = house.key()["authorization"].removeprefix("Bearer ")
    await guard.identify(secret)
    for _ in range(100):
        now += 0.1
        await asyncio.wait_for(guard.identify(secret), 1)
        await asyncio.sleep(0.001)
    assert 2 <= len(looks) <= 5


async def test_a_database_that_fails_is_503_and_no_401() -> None:
    house = await house_with()
    headers = house.key()
    with house.directory.keys._engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE api_keys")
    answer = await house.client.get("/v1/models", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"] == "1"


async def test_a_page_of_another_site_is_refused_whatever_it_sends(house: House) -> None:
    key = house.key()
    for origin, status in (("https://evil.example", 403), ("null", 403), ("https://app.example", 200)):
        answer = await house.client.get("/v1/models", headers={**key, "origin": origin})
        assert answer.status_code == status
    foreign = await house.client.post("/api/v1/auth/login", headers={"origin": "https://evil.example"}, json={})
    assert foreign.json()["error"]["code"] == "origin_not_allowed"


async def test_off_everybody_is_local_and_can_leave_no_account_behind() -> None:
    house = await house_with(mode="off")
    known = (await house.client.get("/api/v1/auth/me")).json()
    assert (known["kind"], known["role"]) == ("local", "admin")
    assert (await house.client.get("/v1/models")).status_code == 200
    for method, path in (
        ("POST", "/api/v1/users"),
        ("GET", "/api/v1/users"),
        ("POST", "/api/v1/keys"),
        ("POST", "/api/v1/auth/login"),
        ("POST", "/api/v1/auth/refresh"),
        ("POST", "/api/v1/auth/logout"),
    ):
        answer = await house.client.request(method, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "auth_off")


async def test_off_pages_of_others_and_their_names_for_this_machine_are_refused() -> None:
    house = await house_with(mode="off")
    foreign = await house.client.post("/v1/chat/completions", headers={"origin": "https://evil.example"})
    rebound = await house.client.get("/v1/models", headers={"host": "evil.example:8000"})
    assert [answer.json()["error"]["code"] for answer in (foreign, rebound)] == ["origin_not_allowed"] * 2


def socket(house: House, **options: Any) -> Any:
    return TestClient(house.app, base_url="http://gateway").websocket_connect("/v1/chat/socket", **options)


def denied(house: House, **options: Any) -> WebSocketDenialResponse:
    with pytest.raises(WebSocketDenialResponse) as refused, socket(house, **options):
        pass
    return refused.value


async def test_a_websocket_needs_credentials(house: House) -> None:
    answer = denied(house)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert denied(house, headers=house.key(role="viewer")).status_code == 403
    assert denied(house, headers=house.key(scopes=frozenset({"files"}))).status_code == 403


async def test_a_websocket_with_a_key_is_served(house: House) -> None:
    with socket(house, headers=house.key()) as opened:
        opened.send_text("one")
        assert opened.receive_text() == "one"


async def test_a_websocket_of_a_foreign_page_is_refused_even_with_a_key(house: House) -> None:
    answer = denied(house, headers={**house.key(), "origin": "https://evil.example"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "origin_not_allowed")


async def test_a_browser_sends_its_token_as_a_subprotocol_which_the_route_does_not_see(house: House) -> None:
    token = house.key()["authorization"].removeprefix("Bearer ")
    with socket(house, subprotocols=["heliostat", f"heliostat-token.{token}"]) as opened:
        assert opened.accepted_subprotocol == "heliostat"
        assert token not in str(opened.scope["subprotocols"])
        opened.send_text("one")
        assert opened.receive_text() == "one"
    assert denied(house, subprotocols=["heliostat", "heliostat-token.x"]).status_code == 401


async def test_an_open_websocket_ends_when_its_key_does(house: House) -> None:
    headers = house.key()
    with socket(house, headers=headers) as opened:
        opened.send_text("one")
        assert opened.receive_text() == "one"
        key = house.directory.keys.list()[0]
        house.directory.keys.revoke(key.id)
        house.directory.authenticator.forget()
        with pytest.raises(WebSocketDisconnect) as ended:
            opened.receive_text()
    assert ended.value.code == 1008


async def test_an_open_websocket_survives_a_database_that_fails() -> None:
    class Failing:
        count = 0

        async def identify(self, credential: str) -> Identity:
            self.count += 1
            if self.count > 1:
                raise Unavailable("locked")
            return Identity(principal=who(Role.USER))

    house = await house_with()
    failing = Failing()
    guard = Authentication(house.app.router, authenticator=failing, watch_s=0.01)  # type: ignore[arg-type]
    client = TestClient(guard, base_url="http://gateway")
    with client.websocket_connect("/v1/chat/socket", headers={"x-api-key": "k"}) as opened:
        await until(lambda: failing.count > 1)
        opened.send_text("one")
        assert opened.receive_text() == "one"
    assert failing.count > 1
