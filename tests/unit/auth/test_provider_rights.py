"""Who may see providers, switch them, and generate."""

import pytest

from deployments.gateway.auth.areas import refusal
from deployments.gateway.principal import Principal, Role


def who(role: Role, *scopes: str) -> Principal:
    return Principal(id="key_1", owner="o", role=role, scopes=frozenset(scopes) or None)


SWITCH, SHOW, GENERATE = "/api/llm/provider/switch", "/api/llm/provider", "/api/v1/models/generate"


@pytest.mark.parametrize(
    ("principal", "method", "path", "allowed"),
    [
        (who(Role.ADMIN), "POST", SWITCH, True),
        (who(Role.ADMIN, "providers"), "POST", SWITCH, True),
        (who(Role.ADMIN, "chat"), "POST", SWITCH, False),
        (who(Role.USER), "POST", SWITCH, False),
        (who(Role.VIEWER), "POST", SWITCH, False),
        (who(Role.VIEWER), "GET", SHOW, True),
        (who(Role.USER, "files"), "GET", "/api/llm/models", True),
        (who(Role.USER), "POST", GENERATE, True),
        (who(Role.USER, "chat"), "POST", GENERATE, True),
        (who(Role.USER, "fleet"), "POST", GENERATE, False),
        (who(Role.VIEWER), "POST", GENERATE, False),
    ],
)
def test_rights(principal: Principal, method: str, path: str, allowed: bool) -> None:
    assert (refusal(principal, method, path) is None) is allowed
