"""Two files about the weather, and a store that holds them."""

from collections.abc import Callable
from typing import Any

import openai

SNOW = b"Snow covers the Alps.\nIt melts in May."
RAIN = b"Rain falls in Wales.\nIt covers the hills."

Clients = Callable[[str], openai.AsyncOpenAI]
"""OpenAI's client as somebody, by name."""


async def filled(ann: openai.AsyncOpenAI, **attributes: Any) -> str:
    store = await ann.vector_stores.create(name="Weather")
    for name, content in (("snow.txt", SNOW), ("rain.txt", RAIN)):
        file = await ann.files.create(file=(name, content), purpose="assistants")
        said = {"about": name.split(".")[0], **attributes}
        await ann.vector_stores.files.create_and_poll(
            file.id, vector_store_id=store.id, attributes=said, poll_interval_ms=1
        )
    return store.id
