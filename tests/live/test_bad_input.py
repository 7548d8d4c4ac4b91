"""An adversary at the door: whatever arrives is refused in the right shape, quickly, and nothing dies of it."""

import gzip
import io
import json
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

from cluster.runtime import processes
from tests.live.conftest import RunningCluster

CHAT, EMBEDDINGS, DOCUMENTS = "/v1/chat/completions", "/v1/embeddings", "/api/v1/documents"
BATCH, SEARCH, QUERY = "/api/experiments/batch", "/api/v1/rag/search", "/api/v1/rag/query"
MESSAGE = {"role": "user", "content": "Hello there"}
REFUSED_WITHIN_S = 20.0  # far above the usual milliseconds, as two cores are shared with whatever runs beside
GOOD_WITHIN_S = 20.0


@pytest.fixture
def client(cluster: RunningCluster) -> Iterator[httpx.Client]:
    """A client, after whose test the same good request still answers and no replica has been replaced."""
    with httpx.Client(base_url=cluster.url, timeout=60) as client:
        before = replicas(cluster)
        yield client
        begun = time.monotonic()
        answer = client.post(CHAT, json={"model": "spark-chat", "messages": [MESSAGE], "max_tokens": 4})
        assert answer.status_code == 200, answer.text
        assert time.monotonic() - begun < GOOD_WITHIN_S
        assert client.get("/health").json()["status"] == "healthy"
        assert replicas(cluster) == before, "a replica died of it"


def replicas(cluster: RunningCluster) -> set[int]:
    """The processes that hold deployments, and vLLM's core."""
    names = ("ServeReplica", "EngineCore")
    return {
        one.pid for one in processes.marked(cluster.state.id) if any(n in " ".join(one.cmdline()) for n in names)
    }


def refused(response: httpx.Response, *statuses: int) -> dict[str, Any]:
    """The error, after checking its shape."""
    assert response.status_code in statuses, response.text[:500]
    assert response.headers["content-type"] == "application/json"
    error: dict[str, Any] = response.json()["error"]
    openai = response.request.url.path.startswith("/v1")
    assert (
        {"message", "type", "param", "code"} == set(error) if openai else {"code", "message", "hint"} <= set(error)
    )
    assert len(error["message"]) < 1000
    assert response.elapsed.total_seconds() < REFUSED_WITHIN_S
    return error


def schema(given: Any) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": given}}}


LOOP = {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}
BLOWING_UP = {"allOf": [{"type": "string", "pattern": f"(a|b)*a(a|b){{{i}}}"} for i in range(30)]}
CHATS: dict[str, tuple[dict[str, Any], str | None]] = {
    "seed over int64": ({"seed": 2**63}, "seed"),
    "n of a billion": ({"n": 10**9}, "n"),
    "negative max_tokens": ({"max_tokens": -1}, "max_tokens"),
    "max_tokens over the context": ({"max_tokens": 100_000}, "messages"),
    "five stops": ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
    "top_k over 32 bits": ({"top_k": 2**70}, "top_k"),
    "min_tokens over max_tokens": ({"min_tokens": 9}, "min_tokens"),
    "logit_bias out of vocabulary": ({"logit_bias": {"999999": 1}}, "logit_bias"),
    "logit_bias of a word": ({"logit_bias": {"abc": 1}}, "logit_bias"),
    "stop token out of vocabulary": ({"stop_token_ids": [2**40]}, "stop_token_ids"),
    "top_logprobs 21": ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
    "tools without a parser": ({"tools": [{"type": "function"}]}, "tools"),
    "2,049 messages": ({"messages": [MESSAGE] * 2049}, "messages"),
    "2,048 messages": ({"messages": [MESSAGE] * 2048}, "messages"),
    "one word of a megabyte": ({"messages": [{"role": "user", "content": "a" * 10**6}]}, "messages"),
    "an unknown format": ({"response_format": {"type": "structural_tag"}}, "response_format.type"),
    "a schema that is none": (schema("x"), "response_format"),
    "a schema of no type": (schema({"type": "wizard"}), "response_format"),
    "a schema of itself": (schema({"$ref": "#"}), "response_format"),
    "a schema in a circle": (schema(LOOP), "response_format"),
    "a schema from elsewhere": (schema({"$ref": "http://127.0.0.1:1/x.json"}), "response_format"),
    "a schema with a broken pattern": (schema({"type": "string", "pattern": "(("}), "response_format"),
    "a pattern of a megabyte": (schema({"type": "string", "pattern": "a" * 10**6}), "response_format"),
    "patterns that multiply": (schema(BLOWING_UP), "response_format"),
    "an enum of 200,000": (schema({"enum": [f"v{i}" for i in range(200_000)]}), "response_format"),
    "a billion items": (schema({"type": "array", "maxItems": 10**9}), "response_format"),
    "an image to a text model": (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///x"}}]}]},
        "messages",
    ),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_chat_that_cannot_be_is_400_and_names_why(client: httpx.Client, stream: bool) -> None:
    for name, (fields, param) in CHATS.items():
        body = {"model": "spark-chat", "messages": [MESSAGE], "max_tokens": 8, "stream": stream, **fields}
        error = refused(client.post(CHAT, json=body), 400)
        assert error["param"] == param, (name, error)


ODD: dict[str, dict[str, Any]] = {
    "the smallest seed": {"seed": -(2**63)},
    "the largest seed, four times": {"seed": 2**63 - 1, "n": 4},
    "128 answers": {"n": 128, "max_tokens": 1},
    "20 logprobs": {"logprobs": True, "top_logprobs": 20},
    "NUL": {"messages": [{"role": "user", "content": "a\0b"}]},
    "no temperature to speak of": {"temperature": 1e-300, "top_p": 1e-300},
    "a schema of itself, with a way out": schema({"type": "object", "properties": {"c": {"$ref": "#"}}}),
    "an enum of 10,000": schema({"enum": [f"v{i}" for i in range(10_000)]}),
    "a regex that backtracks": schema({"type": "string", "pattern": "(a+)+$"}),
    "repeats of repeats": schema({"type": "string", "pattern": "((a{1,1000}){1,1000}){1,1000}"}),
    "an automaton of 2^300 states": schema({"type": "string", "pattern": "(a|b)*a(a|b){300}"}),
    "arrays in arrays": schema({"type": "array", "minItems": 9999, "items": {"type": "array", "maxItems": 9999}}),
    "1,500 optional properties": schema(
        {"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(1500)}}
    ),
}


def test_a_chat_at_the_edge_is_answered_or_refused(client: httpx.Client) -> None:
    for name, fields in ODD.items():
        body = {"model": "spark-chat", "messages": [MESSAGE], "max_tokens": 8, **fields}
        for stream in (False, True):
            answer = client.post(CHAT, json={**body, "stream": stream})
            assert answer.status_code in {200, 400}, (name, answer.text[:300])
            assert answer.elapsed.total_seconds() < REFUSED_WITHIN_S, name
            if answer.status_code == 200 and stream:
                assert answer.text.endswith("data: [DONE]\n\n"), (name, answer.text[-300:])


@pytest.mark.parametrize(
    "model", ["../../etc/passwd", "http://127.0.0.1/x", "spаrk-chat", "spark-chat\0", "x" * 256]
)
def test_a_model_that_is_not_served_is_404(client: httpx.Client, model: str) -> None:
    error = refused(client.post(CHAT, json={"model": model, "messages": [MESSAGE]}), 404)
    assert (error["code"], error["param"]) == ("model_not_found", "model")


def test_bodies_that_are_no_json_object_are_400(client: httpx.Client) -> None:
    good = json.dumps({"model": "spark-chat", "messages": [MESSAGE]}).encode()
    zipped = {"content-encoding": "gzip", "content-type": "application/json"}
    for path in (CHAT, EMBEDDINGS, SEARCH, QUERY, BATCH):
        for body in (b"", b"{", b"[]", b"\xff", b'{"a":NaN}', b"[" * 10**5, good.decode().encode("utf-16")):
            assert refused(client.post(path, content=body), 400)["code"] == "invalid_request"
        refused(client.post(path, content=gzip.compress(good), headers=zipped), 400)
        refused(client.post(path, data={"model": "x"}), 400)
    assert refused(client.post(CHAT, content=b" " * (33 * 1024**2)), 413)["code"] == "payload_too_large"


INPUTS: list[Any] = [
    [], "", [""], " ", ["a", "\0"], [[]], [10**6], [-1], [2**80], ["a", 1], [[1], "a"], [True], None, 1.5,
    ["a"] * 3000, "a " * 2_500_000,
]  # fmt: skip


def test_inputs_that_cannot_be_embedded_are_400(client: httpx.Client) -> None:
    for given in INPUTS:
        error = refused(client.post(EMBEDDINGS, json={"model": "all-MiniLM-L6-v2", "input": given}), 400)
        assert error["param"].startswith("input"), error


QUERIES: list[dict[str, Any]] = [
    {}, {"query": ""}, {"query": "  "}, {"query": "\0"}, {"query": 5}, {"query": ["a"]}, {"query": "a" * 8193},
    {"query": "a", "k": 4}, {"query": "a", "limit": 0}, {"query": "a", "limit": 101}, {"query": "a", "limit": "4"},
    {"query": "a", "limit": True},
]  # fmt: skip


def test_questions_that_make_no_sense_are_400(client: httpx.Client) -> None:
    for path in (SEARCH, QUERY):
        for body in QUERIES:
            assert refused(client.post(path, json=body), 400)["param"] in {"query", "limit", "k"}
    assert refused(client.post(QUERY, json={"query": "a", "model": "nope"}), 404)["code"] == "model_not_found"


def ranges(**given: Any) -> dict[str, Any]:
    return {"parameter_ranges": given}


SPECS: list[tuple[dict[str, Any], int, str]] = [
    ({"response_count": 0}, 400, "empty_plan"),
    (ranges(temperature=[]), 400, "empty_plan"),
    ({"response_count": 10_000_000}, 400, "plan_too_large"),
    (ranges(temperature={"min": 0, "max": 1, "step": 5e-324}), 400, "invalid_request"),
    ({"response_count": 10**4000}, 400, "invalid_request"),
    ({"response_count": -1}, 400, "invalid_request"),
    ({"response_count": True}, 400, "invalid_request"),
    ({"model": "nope"}, 404, "model_not_found"),
    ({"name": "a\0b"}, 400, "invalid_request"),
    ({"nope": 1}, 400, "invalid_request"),
    (ranges(temperature={"min": 1, "max": 0, "step": 0.1}), 400, "invalid_request"),
    (ranges(temperature={"min": 0, "max": 1, "step": 0}), 400, "invalid_request"),
    (ranges(max_tokens=10**400), 400, "invalid_request"),
    (ranges(temperature=[0.5, 0.5]), 400, "invalid_request"),
]


def test_experiments_that_cannot_run_are_refused(client: httpx.Client) -> None:
    before = client.get(BATCH).json()["total"]
    for change, status, code in SPECS:
        body = {"name": "x", "prompt": "hi", "model": "spark-chat", "response_count": 1, **change}
        assert refused(client.post(BATCH, json=body), status)["code"] == code, change
    many = {"name": "x", "models": ["spark-chat"], "prompts": [f"p{i}" for i in range(20_000)] + ["p19999"]}
    refused(client.post(BATCH, json=many), 400)
    for number in ("999", "0", "-1", "9" * 30, "x", "%00"):
        for method, end in (("GET", ""), ("GET", "/status"), ("POST", "/start"), ("DELETE", "")):
            refused(client.request(method, f"{BATCH}/{number}{end}"), 404, 400)
    assert client.get(BATCH).json()["total"] == before


def pdf(password: str | None = None) -> bytes:
    file = io.BytesIO()
    canvas = Canvas(file, encrypt=StandardEncryption(password) if password else None)
    canvas.drawString(100, 700, "A mirror turns.")
    canvas.save()
    return file.getvalue()


FILES: list[tuple[str, bytes, int, str]] = [
    ("a.pdf", pdf()[:400], 400, "broken_document"),
    ("a.pdf", b"%PDF-1.4\n" + bytes(range(256)) * 50, 400, "broken_document"),
    ("a.pdf", b"MZ\x90\0" * 1000, 400, "broken_document"),
    ("a.pdf", b"<!doctype html><html></html>", 400, "broken_document"),
    ("a.pdf", pdf("secret"), 400, "encrypted_document"),
    ("a.pdf", b"", 400, "empty_document"),
    ("a.txt", b" \n", 400, "empty_document"),
    ("a.txt", b"\x7fELF\0\0", 400, "broken_document"),
    ("a.docx", b"PK\x03\x04", 400, "broken_document"),
    ("a.xlsx", b"PK\x03\x04", 415, "unsupported_document_type"),
    ("a\u202etxt.exe", b"x", 415, "unsupported_document_type"),
    ("a" * 300 + ".txt", b"x", 400, "invalid_request"),
    ("..", b"x", 400, "invalid_request"),
]


def test_files_that_cannot_be_read_are_refused(client: httpx.Client) -> None:
    for name, content, status, code in FILES:
        assert refused(client.post(DOCUMENTS, files={"file": (name, content)}), status)["code"] == code, name
    stored = client.post(DOCUMENTS, files={"file": ("../../a\u202eb.txt", b"Some words about a heliostat.")})
    assert (stored.status_code, stored.json()["source"]) == (201, "ab.txt")
    assert client.delete(f"{DOCUMENTS}/{stored.json()['id']}").status_code == 200


def part(head: bytes) -> bytes:
    return b"--x\r\nContent-Disposition: form-data" + head + b"\r\n\r\nwords\r\n--x--\r\n"


FORMS: list[tuple[str, bytes, str]] = [  # and what is said of each
    ("multipart/form-data", b"x", "Missing boundary"),
    ("multipart/form-data; boundary=", b"x", "Invalid multipart data"),
    ("multipart/form-data; boundary=x", b"junk", "Invalid multipart data"),
    ("multipart/form-data; boundary=x", part(b""), '"name" must be provided'),
    ("multipart/form-data; boundary=x", part(b'; name="other"; filename="a.txt"'), "Unknown parameter: other"),
    ("multipart/form-data; boundary=x", part(b'; name="file"'), "file is not a file"),
    (
        "multipart/form-data; boundary=x; charset=raw_unicode_escape",
        part(rb'; name="\ud800"'),
        "Unknown parameter: ?",
    ),
    ("multipart/form-data; boundary=x; charset=nope", part(b'; name="\xff"'), "Unknown parameter: \xff"),
    ("application/x-www-form-urlencoded", b"file=x", "file is not a file"),
    ("application/json", b"{}", "There is no file in the request"),
    ("text/plain", b"words", "There is no file in the request"),
]


def test_forms_without_a_file_are_400(client: httpx.Client) -> None:
    for kind, body, why in FORMS:
        error = refused(client.post(DOCUMENTS, content=body, headers={"content-type": kind}), 400)
        assert error["code"] == "invalid_request", (kind, error)
        assert why in error["message"], (kind, error)


def test_unknown_paths_and_methods_have_the_envelope_too(client: httpx.Client) -> None:
    for path in ("/nope", "/v1/nope", "/v1/models/%00", "/health/", f"{DOCUMENTS}/%ff", "/" + "a" * 4000):
        refused(client.get(path), 404)
    for method in ("PUT", "PATCH", "OPTIONS", "DELETE"):
        assert refused(client.request(method, CHAT), 405)["code"] == "method_not_allowed"
    assert client.head(CHAT).status_code == 405


RAW = [
    b"\x16\x03\x01junk\r\n\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: abc\r\n\r\n{}",
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    b"GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\nJUNK JUNK JUNK\r\n\r\n",
    b"GET /v1/models HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n{",  # and never goes on
]


def test_junk_on_the_socket_is_refused_or_waited_for(client: httpx.Client, cluster: RunningCluster) -> None:
    address = urlsplit(cluster.url)
    for junk in RAW:
        with socket.create_connection((address.hostname, address.port), timeout=2) as connection:
            connection.sendall(junk)
            try:
                assert b"HTTP/1.1 5" not in connection.recv(65_536)
            except (TimeoutError, ConnectionResetError):
                continue
