from cluster.types import Capabilities, ModelCard, Task
from deployments.gateway.openai.model_list import listed as shown


async def test_the_list_says_what_a_model_can_do(client) -> None:
    echo, embedder, _ = (await client.get("/v1/models")).json()["data"]
    assert echo["capabilities"] == ["chat"]
    assert embedder["capabilities"] == ["embedding"]
    assert echo["memory_gib"] is None  # of a model that no catalog knows


def test_pictures_and_tools_are_named_and_memory_is_rounded() -> None:
    able = Capabilities(task=Task.CHAT, context_length=64, images=True, parameters=frozenset({"tools"}))
    card = ModelCard(id="m", engine="vllm", revision="r", created=1, capabilities=able, memory_gib=1.47774)
    listed = shown(card)
    assert listed["capabilities"] == ["chat", "vision", "tools"]
    assert listed["memory_gib"] == 1.478
