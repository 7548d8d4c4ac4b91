import base64
import struct

import pytest


async def embed(client, **fields):
    return await client.post("/v1/embeddings", json={"model": "hash", "input": "a b", **fields})


async def test_floats_and_base64_hold_the_same_vector(client) -> None:
    floats = (await embed(client)).json()
    coded = (await embed(client, encoding_format="base64")).json()
    raw = base64.b64decode(coded["data"][0]["embedding"])
    assert list(struct.unpack("<16f", raw)) == pytest.approx(floats["data"][0]["embedding"])
    assert floats["usage"]["prompt_tokens"] == 2
    assert floats["object"] == "list"


async def test_a_list_of_texts_keeps_its_order(client) -> None:
    both = (await embed(client, input=["a b", "c"])).json()["data"]
    alone = (await embed(client, input="c")).json()["data"]
    assert [item["index"] for item in both] == [0, 1]
    assert both[1]["embedding"] == alone[0]["embedding"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": ["a", ""]}, "input[1]"),
        ({"input": ["a"] * 3000}, "input"),
        ({"input": 5}, "input"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": 8}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
    ],
)
async def test_bad_inputs_are_400_and_named(client, fields, param) -> None:
    response = await embed(client, **fields)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


async def test_a_chat_model_has_no_embeddings(client) -> None:
    response = await embed(client, model="echo")
    assert response.status_code == 400
    assert (await embed(client, model="nope")).status_code == 404
