import asyncio
import json
import threading
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from cluster.engines.images import decode, has_pictures, read, read_aside, read_pictures, with_pictures
from cluster.engines.vllm_request import check_messages
from cluster.errors import BadRequest, HeliostatError, UnsupportedParameter
from cluster.settings.limits import LimitSettings
from tests.unit.engines.pictures import asked, encoded, odd, plain, refused, url

LIMITS = LimitSettings()
ODD, REFUSED = odd(), refused()
RED = {"png", "jpeg", "webp", "gif", "animated gif", "rgba", "palette", "cmyk", "exif turned", "progressive"}


@pytest.mark.parametrize("name", ODD)
def test_an_unusual_picture_is_read_as_upright_rgb(name: str) -> None:
    image = decode(url(ODD[name]), LIMITS)
    assert image.mode == "RGB"
    if name in RED:
        red, green, blue = image.getpixel((48, 48))
        assert red > 200 > 60 > max(green, blue)


@pytest.mark.parametrize("name", ODD)
def test_what_an_engine_is_given_is_the_same_picture_in_a_plain_form(name: str) -> None:
    picture = read(url(ODD[name]), LIMITS)
    again = read(picture.url, LIMITS)
    assert again.url == picture.url, "a plain picture is passed on untouched"
    assert again.image.tobytes() == picture.image.tobytes()


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_picture_is_refused_with_a_code_and_its_place(name: str) -> None:
    address, code = REFUSED[name]
    with pytest.raises(BadRequest) as caught:
        read_pictures(asked(address), LIMITS)
    assert (caught.value.code, caught.value.param) == (code, "messages[0].content[0].image_url"), caught.value
    assert caught.value.hint
    assert len(caught.value.message) < 300


def test_transparent_parts_are_white() -> None:
    assert decode(url(encoded(Image.new("RGBA", (8, 8), (255, 0, 0, 0)))), LIMITS).getpixel((4, 4)) == (255,) * 3


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    assert decode(url(encoded(Image.new("I;16", (8, 8), 0x8000))), LIMITS).getpixel((4, 4)) == (128,) * 3


def test_a_photo_is_turned_as_its_exif_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(url(encoded(plain(size=(60, 20)), "JPEG", exif=exif)), LIMITS).size == (20, 60)


def test_an_animation_shows_its_first_frame() -> None:
    frames = encoded(plain("blue"), "GIF", save_all=True, append_images=[plain("red")] * 50, duration=40)
    assert decode(url(frames, "image/gif"), LIMITS).getpixel((5, 5)) == (0, 0, 255)


def test_base64_in_wrapped_lines_is_read() -> None:
    head, _, data = url(encoded(plain())).partition(",")
    wrapped = "\r\n".join(data[at : at + 76] for at in range(0, len(data), 76))
    assert decode(f"{head},{wrapped}", LIMITS).size == (96, 96)


@pytest.mark.parametrize("size", [(10_000, 1), (1, 10_000), (8192, 2048)])
def test_a_long_picture_is_scaled_down_to_the_longest_side(size: tuple[int, int]) -> None:
    image = decode(url(encoded(plain(size=size))), LIMITS)
    assert max(image.size) == LIMITS.max_image_side
    assert min(image.size) >= 1


def test_detail_low_makes_a_picture_small_and_high_leaves_it() -> None:
    large = url(encoded(plain(size=(1600, 800))))
    assert read(large, LIMITS, detail="low").image.size == (512, 256)
    assert read(large, LIMITS, detail="high").url == large


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url"},
        {"type": "image_url", "image_url": "http://127.0.0.1"},
        {"type": "image_url", "image_url": {}},
        {"type": "image_url", "image_url": {"url": 5}},
        {"type": "image_url", "image_url": {"url": url(b"x")}, "uuid": "another client's"},
        {"type": "image_url", "image_url": {"url": url(b"x"), "detail": "ultra"}},
        {"type": "image_url", "image_url": {"url": url(b"x"), "detail": []}},
    ],
)
def test_a_malformed_part_is_refused(part: dict[str, Any]) -> None:
    with pytest.raises(BadRequest) as caught:
        read_pictures([{"role": "user", "content": [part]}], LIMITS)
    assert caught.value.code == "invalid_request"


def test_the_pictures_of_a_request_share_one_limit() -> None:
    limits = LimitSettings(max_images=2, max_image_pixels=20_000)
    two = asked(url(encoded(plain()))) * 2
    assert len(read_pictures(two, limits)) == 2
    with pytest.raises(BadRequest, match="More than 2 pictures"):
        read_pictures(two + two, limits)
    with pytest.raises(BadRequest, match="pixels") as caught:
        read_pictures(two, LimitSettings(max_image_pixels=10_000))
    assert caught.value.param == "messages[1].content[0].image_url"


def test_messages_get_the_pictures_that_were_read_and_the_given_ones_stay() -> None:
    given = [{"role": "system", "content": "look"}, *asked(url(ODD["palette"]))]
    before = json.dumps(given)
    pictures = read_pictures(given, LIMITS)
    made = with_pictures(given, pictures)
    assert json.dumps(given) == before
    assert made[0] == given[0]
    assert made[1]["content"] == [
        {"type": "image_url", "image_url": {"url": pictures[0].url}},
        given[1]["content"][1],
    ]


def test_text_has_no_pictures() -> None:
    for messages in (None, "x", [], [{"role": "user", "content": "hi"}], [{"content": [{"type": "text"}]}, 5]):
        assert not has_pictures(messages)
        assert read_pictures(messages, LIMITS) == ()


async def test_decoding_leaves_the_event_loop_free() -> None:
    ticks, before = 0, threading.active_count()

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0)
            ticks += 1

    ticking = asyncio.create_task(tick())
    await read_aside(asked(url(ODD["4000 x 3000"])), LIMITS)
    ticking.cancel()
    assert ticks > 10
    assert threading.active_count() < before + 20


def test_pictures_are_for_users_and_parts_say_what_they_are() -> None:
    user = asked(url(ODD["png"]))
    check_messages(user, images=True)
    with pytest.raises(UnsupportedParameter):
        check_messages(user, images=False)
    with pytest.raises(UnsupportedParameter):
        check_messages([{**user[0], "role": "system"}], images=True)
    for part in ({"image_url": "http://127.0.0.1"}, {"type": "video_url"}, {"type": "image_embeds"}, "x"):
        with pytest.raises(HeliostatError):
            check_messages([{"role": "user", "content": [part]}], images=True)


def test_every_byte_of_a_file_may_be_broken() -> None:
    """Whatever a decoder makes of it, it is an image or a refusal."""
    for name in ("png", "jpeg", "webp", "gif"):
        content = bytearray(ODD[name])
        refusals = readable = 0
        for at in range(0, len(content), max(len(content) // 40, 1)):
            broken = bytes(content[:at]) + bytes([content[at] ^ 0xFF]) + bytes(content[at + 1 :])
            try:
                image = decode(url(broken), LIMITS)
            except BadRequest:
                refusals += 1
                continue
            readable += 1
            assert image.mode == "RGB", (name, at)
            assert max(image.size) <= LIMITS.max_image_side, (name, at)
            assert Image.open(BytesIO(encoded(image))).tobytes() == image.tobytes(), (name, at)
        assert refusals, f"no broken {name} was refused"
        assert readable or name == "png", "but for PNG, which has checksums, a decoder forgives"
