"""What spark-vision says of a picture can only come from its pixels: the pictures are swapped, the answers swap."""

import asyncio
import json
from collections.abc import Iterator
from random import Random
from typing import Any

import httpx
import openai
import pytest
from PIL import Image, ImageDraw

from pipelines.training.vision.fonts import PLAIN
from pipelines.training.vision.pictures import demo_picture, draw
from pipelines.training.vision.scene import Ground, Print, Scene
from tests.live.conftest import RunningCluster
from tests.unit.engines.pictures import asked, encoded, url

CHAT = "/v1/chat/completions"
MODEL = "spark-vision"
WHITE = (255, 255, 255)
COLOURS = {
    "red": (230, 30, 30),
    "green": (30, 150, 50),
    "blue": (30, 60, 220),
    "yellow": (250, 225, 30),
    "black": (10, 10, 10),
    "purple": (130, 20, 150),
}
WORDS_OF = {2: ("2", "two"), 3: ("3", "three")}


def shapes(colour: str, *, count: int = 1, shape: str = "circle", side: int = 240) -> Image.Image:
    """So many circles or squares in a row, on white; drawn here, so that nothing of the training is in it."""
    image = Image.new("RGB", (side, side), WHITE)
    pen = ImageDraw.Draw(image)
    step = side / count
    radius = min(step * 0.38, side * 0.3)
    for number in range(count):
        x, y = step * (number + 0.5), side / 2
        box = (x - radius, y - radius, x + radius, y + radius)
        (pen.ellipse if shape == "circle" else pen.rectangle)(box, fill=COLOURS[colour])
    return image


def printed(word: str) -> Image.Image:
    ground = Ground(kind="flat", colour="white", rgbs=(WHITE,))
    line = Print(text=word, colour="black", rgb=(0, 0, 0), x=0.5, y=0.3, size=0.22, font=PLAIN)
    return draw(Scene(width=1.0, height=0.6, ground=ground, prints=(line,)), Random(1), longest=360)


def left_of_a_triangle(shape: str) -> Image.Image:
    image = Image.new("RGB", (320, 200), WHITE)
    image.paste(shapes("red", shape=shape, side=160), (0, 20))
    ImageDraw.Draw(image).polygon([(240, 50), (190, 150), (290, 150)], fill=COLOURS["blue"])
    return image


def as_png(image: Image.Image) -> str:
    return url(encoded(image))


def as_jpeg(image: Image.Image) -> str:
    return url(encoded(image, "JPEG", quality=90), "image/jpeg")


@pytest.fixture(scope="module")
def client(cluster: RunningCluster) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=cluster.url, timeout=60) as client:
        yield client


def body(address: str, question: str, **fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": asked(address, question), "temperature": 0, "max_tokens": 24, **fields}


def said(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["message"]["content"]).lower()


SWAPS: dict[str, tuple[str, Image.Image, tuple[str, ...], Image.Image, tuple[str, ...]]] = {
    "colour": ("What colour is the circle?", shapes("red"), ("red",), shapes("blue"), ("blue",)),
    "count": (
        "How many circles are there?",
        shapes("green", count=2),
        WORDS_OF[2],
        shapes("green", count=3),
        WORDS_OF[3],
    ),
    "shape": ("What shape is it?", shapes("red"), ("circle",), shapes("red", shape="square"), ("square",)),
    "word": ("Which word is printed?", printed("TREE"), ("tree",), printed("MOON"), ("moon",)),
    "place": (
        "What is left of the triangle?",
        left_of_a_triangle("circle"),
        ("circle",),
        left_of_a_triangle("square"),
        ("square",),
    ),
}


@pytest.mark.parametrize("encode", [as_png, as_jpeg], ids=["png", "jpeg"])
@pytest.mark.parametrize("name", SWAPS)
def test_two_pictures_swapped_swap_their_answers(client: httpx.Client, name: str, encode: Any) -> None:
    question, one, of_one, other, of_other = SWAPS[name]
    for picture, wanted, unwanted in ((one, of_one, of_other), (other, of_other, of_one), (one, of_one, of_other)):
        answer = said(client.post(CHAT, json=body(encode(picture), question)))
        assert any(word in answer for word in wanted), (question, answer, wanted)
        assert not any(word in answer for word in unwanted), (question, answer, unwanted)


def test_a_stream_says_what_a_whole_answer_does(client: httpx.Client) -> None:
    question = body(as_png(shapes("yellow")), "What colour is the circle?")
    answer = client.post(CHAT, json={**question, "stream": True})
    events = [event.removeprefix("data: ") for event in answer.text.split("\n\n") if event]
    assert events[-1] == "[DONE]"
    streamed = "".join(json.loads(event)["choices"][0]["delta"].get("content") or "" for event in events[:-1])
    assert streamed.lower() == said(client.post(CHAT, json=question))
    assert "yellow" in streamed.lower()


async def test_many_clients_at_once_each_get_their_own_pictures_answer(cluster: RunningCluster) -> None:
    """Pictures are cached by their content and prompts by their prefix: no one may get another's."""
    pictures = [
        (colour, as_png(shapes(colour, shape=shape, side=side)), shape)
        for colour in COLOURS
        for shape in ("circle", "square")
        for side in (160, 240)
    ]
    bodies = [body(picture, f"What colour is the {shape}?") for _, picture, shape in pictures]
    async with httpx.AsyncClient(base_url=cluster.url, timeout=120) as client:
        alone = [said(await client.post(CHAT, json=one)) for one in bodies]
        for _ in range(2):  # the second time everything is in the caches
            together = await asyncio.gather(*(client.post(CHAT, json=one) for one in bodies * 2))
            assert [said(answer) for answer in together] == alone * 2
    right = sum(colour in answer for (colour, _, _), answer in zip(pictures, alone, strict=True))
    assert right >= len(pictures) - 2, list(zip([colour for colour, _, _ in pictures], alone, strict=True))


def test_the_official_client_has_a_picture_described(cluster: RunningCluster) -> None:
    with openai.OpenAI(base_url=f"{cluster.url}/v1", api_key="unused", max_retries=0) as client:
        answer = client.chat.completions.create(
            model=MODEL,
            messages=asked(url(demo_picture()), "Describe the picture."),  # type: ignore[arg-type]
            temperature=0,
            max_tokens=60,
        )
    told = (answer.choices[0].message.content or "").lower()
    assert all(word in told for word in ("red", "circle", "blue", "square")), told
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > 50, "the picture's tokens are counted"
