"""The card of a model that is loaded."""

from cluster.engines.protocol import ChatEngine, EmbeddingEngine, RerankEngine
from cluster.settings.models import ModelSettings
from cluster.types import ModelCard


def loaded_card(
    model: ModelSettings, engine: ChatEngine | EmbeddingEngine | RerankEngine, *, created: int
) -> ModelCard:
    """What the model is and can do. created: Unix seconds at which its engine had started."""
    return ModelCard(
        id=model.id,
        engine=model.engine.kind,
        revision=engine.revision,
        created=created,
        capabilities=engine.capabilities,
        memory_gib=model.memory,
    )
