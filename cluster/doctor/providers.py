"""Whether the models that run elsewhere could be asked from here. Nothing is asked of a provider, no key is sent.

It is looked whether somebody listens at its address, or at its proxy's, and shows a certificate that is trusted.
"""

import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from cluster.config import secret
from cluster.doctor.checks import Finding, Level
from cluster.runtime.ports import is_loopback
from cluster.settings.remote import PlaceSettings
from cluster.settings.tree import Settings

CONNECT_S = 3.0
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderFacts:
    """A provider as it looks from here. names: of what is asked of it. lacks: the variable of its key, unset.

    in_clear: a key would cross a network that anybody may read. problem: why it cannot be reached.
    """

    names: tuple[str, ...]
    address: str
    lacks: str | None = None
    in_clear: bool = False
    problem: str | None = None


def look(settings: Settings) -> tuple[ProviderFacts, ...]:
    """The providers of a config, each address once."""
    found: dict[str, list[tuple[str, PlaceSettings]]] = {}
    for name, place in _places(settings):
        found.setdefault(_address(place), []).append((name, place))
    return tuple(_seen(address, places) for address, places in found.items())


def check_provider(provider: ProviderFacts) -> Finding:
    """It can be reached, its key is there, and nobody reads that on its way."""
    name, what = "provider", f"{provider.address}, for {', '.join(provider.names)}"
    if provider.problem is not None:
        hint = "its requests get provider_unavailable, or go to the models' fallbacks"
        return Finding(name=name, level=Level.FAIL, what=f"{what}: {provider.problem}", hint=hint)
    if provider.lacks is not None:
        hint = f"set {provider.lacks} on every node before `heliostat up`"
        return Finding(name=name, level=Level.FAIL, what=f"{what}: {provider.lacks} is not set here", hint=hint)
    if provider.in_clear:
        hint = "an https:// address; or whoever is on the way reads key and prompts"
        return Finding(name=name, level=Level.WARN, what=f"{what}: its key is sent in clear", hint=hint)
    return Finding(name=name, level=Level.OK, what=what)


def _places(settings: Settings) -> Iterable[tuple[str, PlaceSettings]]:
    for model in settings.models:
        if isinstance(model.engine, PlaceSettings):
            yield model.id, model.engine
    for provider in settings.providers:
        yield provider.id, provider


def _address(place: PlaceSettings) -> str:
    text: str = getattr(place, "base_url", "") or getattr(place, "url", "")
    parts = urlsplit(text)
    return f"{parts.scheme}://{parts.netloc}"


def _seen(address: str, places: list[tuple[str, PlaceSettings]]) -> ProviderFacts:
    keys = [place.api_key_env for _, place in places if place.api_key_env is not None]
    parts = urlsplit(address)
    foreign = parts.scheme == "http" and not is_loopback(parts.hostname or "")
    problems = (problem(address, place) for _, place in places)
    return ProviderFacts(
        names=tuple(name for name, _ in places),
        address=address,
        lacks=next((name for name in keys if secret(name) is None), None),
        in_clear=foreign and bool(keys),
        problem=next((found for found in problems if found is not None), None),
    )


def problem(address: str, place: PlaceSettings) -> str | None:
    """Why nothing could be sent there; None where it could be. Connects, and hangs up."""
    target = urlsplit(place.proxy or address)
    host, port = target.hostname or "", target.port or PORTS[target.scheme]
    try:
        with socket.create_connection((host, port), timeout=CONNECT_S) as connection:
            if target.scheme == "https":
                context = ssl.create_default_context(cafile=place.ca_file)
                with context.wrap_socket(connection, server_hostname=host):
                    return None
    except ssl.SSLCertVerificationError as error:
        return f"its certificate is not valid: {error.verify_message}"
    except (OSError, ValueError) as error:  # ValueError: a host that no name can be, or a file without certificates
        return str(error) or type(error).__name__
    return None
