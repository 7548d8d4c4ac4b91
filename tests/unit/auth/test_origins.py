import pytest

from cluster.errors import OriginNotAllowed
from deployments.gateway.auth.origins import check_local_host, check_origin

LISTED = ("https://app.example",)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "127.0.0.1:8000"),
        ("https://app.example", "127.0.0.1:8000"),
        ("http://127.0.0.1:8000", "127.0.0.1:8000"),
        ("http://LOCALHOST:8000", "localhost:8000"),
        ("http://localhost", "localhost:80"),
        ("https://heliostat.example", "heliostat.example"),
        ("http://[::1]:8000", "[::1]:8000"),
    ],
)
def test_own_and_listed_pages_may_ask(origin: str | None, host: str) -> None:
    check_origin(origin, host, LISTED)


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "",
        "http://127.0.0.1:8001",
        "http://127.0.0.1:8000.evil.example",
        "https://app.example.evil.example",
        "http://app.example",
        "file://",
        "https://127.0.0.1",
    ],
)
def test_pages_of_others_may_not(origin: str) -> None:
    with pytest.raises(OriginNotAllowed):
        check_origin(origin, "127.0.0.1:8000", LISTED)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:80", "localhost:8000", "[::1]:8000", "[::1]", "gateway", "a.localhost", "10.1.2.3"],
)
def test_a_name_of_this_machine_may_be_asked_without_credentials(host: str) -> None:
    check_local_host(host)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.nip.example", "localhost.evil.example"]
)
def test_a_public_name_may_not(host: str) -> None:
    with pytest.raises(OriginNotAllowed):
        check_local_host(host)
