"""Getting a model's files from the Hugging Face Hub: once, before an engine starts, for every engine alike.

An engine is then given a folder and never asks the network, so that there is one place where a download can
fail, and it fails with what to do about it.
"""

from pathlib import Path

from cluster.errors import StartFailed
from cluster.settings.models import HubSettings

# What no engine here reads, and some repositories are full of: SmolVLM's ONNX files are ten times its weights.
IGNORED = ("onnx/*", "*.onnx", "*.gguf", "*.h5", "*.msgpack", "*.ot", "*.tflite", "openvino/*", "original/*")
PICKLES = ("*.bin", "*.pt", "*.pth")  # the weights once more, unless a repository has no others


def fetch(model: str, source: str, hub: HubSettings, revision: str | None = None) -> str:
    """The folder of a model's files: `source` itself where it is one, else the Hub's, downloaded where needed.

    model: the id that the config gives it, for the errors. Blocks. Raises StartFailed saying what to do.
    """
    if Path(source).is_dir():
        return source
    folder = _snapshot(model, source, hub, revision, (*IGNORED, *PICKLES))
    if not list(Path(folder).rglob("*.safetensors")):
        folder = _snapshot(model, source, hub, revision, IGNORED)
    return folder


def fetch_beside(model: str, repositories: tuple[str, ...], hub: HubSettings) -> None:
    """Get repositories that a model's own code will look for in the Hub's own cache. Raises as `fetch` does."""
    for repository in repositories:
        _snapshot(model, repository, hub.model_copy(update={"model_path": None}), None, IGNORED)


def download_command(source: str, hub: HubSettings, revision: str | None) -> str:
    """What downloads the files on a machine with a network."""
    place = f" --cache-dir {hub.model_path}" if hub.model_path else ""
    return f"hf download {source}{f' --revision {revision}' if revision else ''}{place}"


def _snapshot(model: str, source: str, hub: HubSettings, revision: str | None, ignored: tuple[str, ...]) -> str:
    from huggingface_hub import errors, snapshot_download

    named = f"{model} is {source}{f' at {revision}' if revision else ''} on the Hugging Face Hub"
    try:
        return str(
            snapshot_download(
                source,
                revision=revision,
                cache_dir=hub.model_path,
                ignore_patterns=list(ignored),
                local_files_only=hub.offline,
            )
        )
    except errors.LocalEntryNotFoundError as error:
        why = "hub.offline is set" if hub.offline else "the Hub cannot be reached"
        command = download_command(source, hub, revision)
        # What to do is in the message: of an error in a replica, Serve shows no more than that.
        raise StartFailed(
            f"{named}, which is not on this machine, and {why}; where there is a network: `{command}`",
            hint="or hub.offline: false" if hub.offline else "then hub.offline: true needs no network at all",
        ) from error
    except errors.GatedRepoError as error:
        raise StartFailed(
            f"{named}, which asks for its terms to be accepted",
            hint=f"accept them at https://huggingface.co/{source}, then: hf auth login",
        ) from error
    except errors.RevisionNotFoundError as error:
        raise StartFailed(f"{named}, which has no such revision", hint="a branch, a tag or a commit") from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise StartFailed(
            f"{named}, which does not exist or is private",
            hint="a folder, or owner/name as on the Hub; hf auth login",
        ) from error
    except Exception as error:  # HTTP libraries raise their own kinds; a full disk and a broken line end here too
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        hint = f"try it by hand: {download_command(source, hub, revision)}"
        raise StartFailed(f"{named}, and its download failed: {reason}", hint=hint) from error
