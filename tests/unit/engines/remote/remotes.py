"""Remote engines over a server of a test."""

from typing import Any

from cluster.engines.remote.connection import Place
from cluster.engines.remote.ollama import OllamaEngine
from cluster.engines.remote.openai import OpenAIEngine
from cluster.settings.remote import OllamaSettings, OpenAISettings
from tests.unit.engines.remote import fake_ollama, fake_openai

NAME = "The provider of spark"
AGAIN_S = 0.01


def openai_engine(
    url: str, *, key: str | None = None, context_length: int | None = None, **given: Any
) -> OpenAIEngine:
    settings = OpenAISettings(**{"base_url": f"{url}/v1", "model": fake_openai.REMOTE, **given})
    place = Place(base=settings.base_url, name=NAME, key=key)
    return OpenAIEngine(settings, "spark", place=place, context_length=context_length, again_s=AGAIN_S)


def ollama_engine(
    url: str, *, key: str | None = None, context_length: int | None = None, **given: Any
) -> OllamaEngine:
    settings = OllamaSettings(**{"url": url, "model": fake_ollama.REMOTE, **given})
    place = Place(base=settings.url, name=NAME, key=key)
    return OllamaEngine(settings, "spark", place=place, context_length=context_length, again_s=AGAIN_S)
