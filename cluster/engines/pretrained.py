"""A model of sentence-transformers, loaded as both its kinds are: on all cores, from where its weights are."""

from pathlib import Path
from typing import Any

from cluster import torchvision_ops
from cluster.engines.openmp import compute_on_all_cores, wait_asleep
from cluster.engines.precision import torch_dtype
from cluster.settings.engines import CrossEncoderSettings, SentenceSettings
from cluster.settings.models import HubSettings


def pretrained(source: str, settings: SentenceSettings | CrossEncoderSettings, hub: HubSettings) -> Any:
    """The library's model of a folder or a Hub id, ready to compute. Raises what the library raises."""
    torchvision_ops.install()  # also where the .pth is not, as in a bare checkout
    wait_asleep()
    compute_on_all_cores()
    import torch
    from sentence_transformers import CrossEncoder, SentenceTransformer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # a replica's log is no terminal
    device = "cuda" if torch.cuda.is_available() else "cpu"
    kind = CrossEncoder if isinstance(settings, CrossEncoderSettings) else SentenceTransformer
    model = kind(
        source,
        device=device,
        revision=settings.revision,
        cache_folder=hub.model_path,
        local_files_only=hub.offline or Path(source).is_dir(),
    )
    return model.to(torch_dtype(settings.dtype, device)).eval()
