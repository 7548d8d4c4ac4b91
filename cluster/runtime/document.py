"""The Serve document of a config, made ready for one cluster: validated, with host, port and home in place."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from cluster.config import Config
from cluster.errors import AuthRequired, SettingsError
from cluster.runtime.ports import is_loopback

DEFAULT_HOST = "127.0.0.1"  # Serve's own default is every interface
DEFAULT_PORT = 8000


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What is deployed. body: for Serve's REST API. applications: their names, in the file's order.

    authenticated: whether the gateway asks who is there.
    """

    body: dict[str, Any]
    host: str
    port: int
    application: str
    applications: tuple[str, ...]
    route: str
    authenticated: bool = False

    @property
    def url(self) -> str:
        """Where clients on this machine reach it."""
        return endpoint(self.host, self.port)


def endpoint(host: str, port: int) -> str:
    """The URL of a server, as seen from its own machine; a wildcard address is reached by loopback."""
    if host in {"", "0.0.0.0", "*"}:  # noqa: S104 - read, not bound
        host = DEFAULT_HOST
    elif host == "::":
        host = "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def refuse_open(host: str, *, authenticated: bool, origin: str) -> None:
    """Raises AuthRequired where other machines could reach a server that asks nobody who they are."""
    if not authenticated and not is_loopback(host):
        raise AuthRequired(
            f"{origin}: http_options.host is {host or 'every interface'}, and authentication is off",
            hint="set auth.mode: on and run `heliostat users create-admin EMAIL`, or bind 127.0.0.1",
            param="auth.mode",
        )


def prepare(config: Config, *, home: Path, port: int | None = None) -> Document:
    """The document as it is deployed. Raises SettingsError naming file and key, AuthRequired."""
    body = copy.deepcopy(config.document)
    options = body.setdefault("http_options", {})
    if not isinstance(options, dict):
        raise SettingsError(f"{config.path}: http_options: not a mapping", hint="keys such as host and port")
    options.setdefault("host", DEFAULT_HOST)
    options.setdefault("port", DEFAULT_PORT)
    if port is not None:
        options["port"] = port
    ours = next(item for item in body["applications"] if item.get("name", "default") == config.application)
    ours["args"]["home"] = str(home)
    _validate(body, config.path)
    authenticated = config.settings.auth.mode == "on"
    refuse_open(options["host"], authenticated=authenticated, origin=str(config.path))
    return Document(
        body=body,
        host=options["host"],
        port=options["port"],
        application=config.application,
        applications=tuple(item.get("name", "default") for item in body["applications"]),
        route=ours.get("route_prefix", "/"),
        authenticated=authenticated,
    )


def _refuse_unknown(model: Any, value: Any, keys: tuple[str, ...], path: Path) -> None:
    """Serve ignores a key that it does not know; a typo would change nothing without a word."""
    unknown = sorted(set(value) - set(model.model_fields))
    if unknown:
        key = ".".join((*keys, unknown[0]))
        known = ", ".join(sorted(model.model_fields))
        raise SettingsError(f"{path}: {key}: unknown key", hint=f"known keys: {known}", param=key)
    for name, item in value.items():
        for inner in models_in(model.model_fields[name].annotation):
            if isinstance(item, dict):
                _refuse_unknown(inner, item, (*keys, name), path)
            elif isinstance(item, list):
                for index, entry in enumerate(item):
                    _refuse_unknown(inner, entry, (*keys, name, str(index)), path)


def models_in(annotation: Any) -> list[Any]:
    """The pydantic models that an annotation holds: of an optional, a list, a union."""
    from pydantic import BaseModel

    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for item in get_args(annotation) for found in models_in(item)]


def _validate(body: dict[str, Any], path: Path) -> None:
    """Let Ray Serve read it before anything starts; its strictness is the contract of a Serve config."""
    from pydantic import ValidationError
    from ray.serve.schema import ServeDeploySchema

    try:
        ServeDeploySchema.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the document"
        message = first["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{path}: {key}: {message}", hint=f"got {first['input']!r}"[:120], param=key) from None
    _refuse_unknown(ServeDeploySchema, body, (), path)
    port = body["http_options"]["port"]
    if not 0 < port < 65536:
        raise SettingsError(f"{path}: http_options.port: {port} is no port", hint="1 to 65535")
