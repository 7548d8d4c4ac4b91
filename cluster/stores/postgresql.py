"""PostgreSQL's URLs: which driver, and what of libpq's parameters it is told. The driver is pg8000 (ADR 11)."""

import ssl
from typing import Any

from sqlalchemy import URL
from sqlalchemy.exc import ArgumentError

ANSWERS_WITHIN_S = 30.0  # the longest silence of a server; our statements take milliseconds
DRIVER = "postgresql+pg8000"
OURS = {"postgres", "postgresql"}  # the schemes that name no driver
MODES = ("disable", "require", "verify-ca", "verify-full")
PARAMETERS = {"application_name", "sslmode", "sslrootcert", "unix_sock"}


def named(url: URL) -> URL:
    """The URL with the driver that we bring, where it names none."""
    return url.set(drivername=DRIVER) if url.drivername in OURS else url


def connect_args(url: URL) -> dict[str, Any]:
    """What the driver is told beside host, user and password. Raises ArgumentError for what it cannot honour.

    As with libpq, `sslmode` is disable, require, verify-ca or verify-full, and `sslrootcert` the file of the
    authority; but nothing is encrypted that does not say so.
    """
    if url.drivername != DRIVER:
        return {}  # whoever names another driver has its own parameters
    given = {name: str(value) for name, value in url.query.items()}
    if strange := sorted(given.keys() - PARAMETERS):
        raise ArgumentError(f"unknown parameter {strange[0]}: there are {', '.join(sorted(PARAMETERS))}")
    mode = given.get("sslmode", MODES[0])
    if mode not in MODES:
        raise ArgumentError(f"sslmode={mode}: it is one of {', '.join(MODES)}")
    return {"timeout": ANSWERS_WITHIN_S, "ssl_context": _context(mode, given.get("sslrootcert"))}


def _context(mode: str, authority: str | None) -> ssl.SSLContext | None:
    if mode == "disable":
        return None
    context = ssl.create_default_context(cafile=authority)
    context.check_hostname = mode == "verify-full"
    if mode == "require":
        context.verify_mode = ssl.CERT_NONE
    return context
