"""A server of pictures for tests, on loopback, and a certificate for it."""

import asyncio
import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.unit.engines.pictures import encoded, plain

HOST = "pictures.test"  # a name that only the tests' own resolver knows
RED = encoded(plain("red"))


@dataclass(slots=True, kw_only=True)
class Store:
    """A server of pictures. seen: the heads of its requests. answers: by path, as bytes on the wire."""

    port: int = 0
    seen: list[str] = field(default_factory=list)
    answers: dict[str, bytes] = field(default_factory=dict)

    def at(self, path: str = "/red.png", host: str = HOST, scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.seen.append(head)
        path = head.split(" ")[1]
        writer.write(self.answers.get(path) or reply(b"none", status="404 Not Found"))
        if path.startswith("/slow"):
            await reader.read()  # until the client is gone
        writer.close()


def reply(content: bytes = RED, *, status: str = "200 OK", length: bool = True, **headers: str) -> bytes:
    named = {"content-type": "image/png"} | {name.replace("_", "-"): text for name, text in headers.items()}
    named |= {"content-length": str(len(content))} if length else {}
    lines = "".join(f"{name}: {text}\r\n" for name, text in named.items())
    return f"HTTP/1.1 {status}\r\n{lines}connection: close\r\n\r\n".encode() + content


def moved(where: str) -> bytes:
    return reply(b"", status="302 Found", location=where)


@asynccontextmanager
async def serving(context: ssl.SSLContext | None = None) -> AsyncIterator[Store]:
    store = Store(answers={"/red.png": reply()})
    server = await asyncio.start_server(store.serve, "127.0.0.1", ssl=context)
    store.port = server.sockets[0].getsockname()[1]
    async with server:
        yield store


def certified(host: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A client's trust in, and a server's use of, a certificate for a host."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "both.pem"
        path.write_bytes(private + pem)
        context.load_cert_chain(path)
    return ssl.create_default_context(cadata=pem.decode()), context
