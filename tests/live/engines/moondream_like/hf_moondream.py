"""A model with moondream2's public face and a random head: for the adapter, where the Hub cannot be reached.

Written from the description of revision 2025-06-21: `query` and `caption` with their arguments and settings, the
configuration they read, one private method that makes each token, and no `post_init`.
"""

from types import SimpleNamespace

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

WORDS = ("", "a", "red", "ball", "lies", "under", "the", "old", "table", "near", "two", "cats", "and", "tea")
END = 0


class HfConfig(PretrainedConfig):
    model_type = "moondream1"

    def __init__(self, **given):
        super().__init__(**given)
        self.config = {}


class Words:
    def encode(self, text):
        return SimpleNamespace(ids=[1 + hash_of(word) % (len(WORDS) - 1) for word in text.split()])


def hash_of(word):
    return sum(word.encode())


class MoondreamModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.config = SimpleNamespace(
            vision=SimpleNamespace(crop_size=378, enc_patch_size=14),
            tokenizer=SimpleNamespace(
                templates={"query": {"prefix": [1, 2], "suffix": [3]}, "caption": {"normal": [4, 5, 6]}}
            ),
        )
        self.tokenizer = Words()
        self.head = nn.Linear(8, len(WORDS))
        self.seen = []

    def _decode_one_tok(self, state):
        return torch.sin(torch.roll(state, 1) * 3 + 0.3)

    def query(self, image=None, question=None, reasoning=False, spatial_refs=None, stream=False, settings=None):
        self.seen.append(("query", question, dict(settings)))
        text = self._words(image, hash_of(question), settings)
        return {"answer": text if stream else "".join(text)}

    def caption(self, image, length="normal", stream=False, settings=None):
        self.seen.append(("caption", length, dict(settings)))
        text = self._words(image, 1, settings)
        return {"caption": text if stream else "".join(text)}

    def _words(self, image, salt, settings):
        shade = 0 if image is None else sum(image.resize((1, 1)).getpixel((0, 0)))
        state = torch.sin(torch.arange(8.0) * (1 + shade + salt))
        for _ in range(settings["max_tokens"]):
            scores = self.head(state)
            if settings["temperature"] == 0:
                token = int(scores.argmax())
            else:
                token = int(torch.multinomial(torch.softmax(scores / settings["temperature"], -1), 1))
            if token == END:
                return
            yield f" {WORDS[token]}"
            state = self._decode_one_tok(state)


class HfMoondream(PreTrainedModel):
    config_class = HfConfig

    def __init__(self, config):
        super().__init__(config)
        self.model = MoondreamModel()

    @property
    def query(self):
        return self.model.query

    @property
    def caption(self):
        return self.model.caption
