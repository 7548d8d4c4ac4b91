"""What a sweep finds out before it runs: its models, their engines' versions, and the collections it may search."""

from collections.abc import Mapping
from importlib import metadata

from cluster.catalog import deployment_name
from cluster.errors import CollectionNotFound, UnsupportedParameter
from cluster.settings.pipelines import DocumentSettings
from cluster.stores.collection_names import CollectionNames
from cluster.stores.experiments import LOCAL_OWNER
from cluster.stores.recut_names import base_of
from cluster.types import ModelCard
from pipelines.documents.embedders import DEPLOYMENT
from pipelines.documents.served import Served
from pipelines.sweeps.cuts import check_cuts, cuts_of
from pipelines.sweeps.spec import SweepSpec

PACKAGES = {"vllm": "vllm", "llama_cpp": "xllamacpp", "transformers": "transformers"}
"""The modules that engines are made of; remote ones and the scripted one have no version that we know."""


def find_cards(spec: SweepSpec, application: str) -> dict[str, ModelCard]:
    """What the models are. Raises UnsupportedParameter for a parameter that one of them does not honour."""
    found: dict[str, ModelCard] = {}
    for model in spec.models:
        card: ModelCard = Served(application, deployment_name(model)).call("card", patience_s=0.0)
        check_honoured(spec, model, card)
        found[model] = card
    return found


def check_honoured(spec: SweepSpec, model: str, card: ModelCard) -> None:
    """Raises UnsupportedParameter for the first parameter that the spec sends and the model does not honour."""
    sent = [*spec.sent, *(["seed"] if spec.seeds else [])]
    refused = [name for name in sent if name not in card.capabilities.parameters]
    if refused:
        hint = "seeds: false sends none" if refused[0] == "seed" else "remove the parameter"
        raise UnsupportedParameter(f"{model} does not honour {refused[0]}", hint=hint, param=refused[0])


def check_sizes(spec: SweepSpec, documents: DocumentSettings, application: str) -> None:
    """Raises BadRequest for sizes of chunks that cannot be, as the config and the served embedder are."""
    cuts = cuts_of(spec.space)
    if cuts:
        embedder: ModelCard = Served(application, DEPLOYMENT).call("card", patience_s=0.0)
        check_cuts(cuts, documents, embedder.capabilities.context_length)


def engine_versions(cards: Mapping[str, ModelCard]) -> dict[str, str]:
    """The versions of the engines, as they are installed here: a cluster has one environment for all."""
    wanted = {model: PACKAGES[card.engine] for model, card in cards.items() if card.engine in PACKAGES}
    if not wanted:
        return {}
    distributions = metadata.packages_distributions()
    return {
        model: metadata.version(distributions[module][0])
        for model, module in wanted.items()
        if module in distributions
    }


def collection_names(spec: SweepSpec, names: CollectionNames, *, owner: str, default: str) -> dict[str, str]:
    """The vector store's names of the collections that a spec searches, for somebody.

    Raises CollectionNotFound for one that is not theirs. What was filled from the command line and never made
    through the API is the operator's, by its name.
    """
    axis = spec.retrieval.axes.get("collection") if spec.retrieval is not None else None
    wanted = [str(axis.at(place)) for place in range(axis.count)] if axis is not None else []
    return {name: _physical(name, names, owner, default) for name in wanted}


def _physical(name: str, names: CollectionNames, owner: str, default: str) -> str:
    if name == default:
        return default
    try:
        return names.get(name, owner=owner).physical
    except CollectionNotFound:
        if owner == LOCAL_OWNER and base_of(name) is None:
            return name
        raise
