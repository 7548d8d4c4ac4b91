"""The Hugging Face Hub as a registry: its library's requests, names and errors, and content that can be resumed.

The library's own download begins each file anew after a kill and compares no hash; so the bytes are read here, with
its session, its addresses and its credentials.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cluster.errors import (
    GatedModel,
    HeliostatError,
    InvalidModelName,
    ModelNotFound,
    PermissionDenied,
    RegistryAway,
    RevisionNotFound,
)
from cluster.library.manifest import DEFAULT_REVISION, Content, Manifest, RemoteFile

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 10.0  # without a byte; the library's own


class HubRegistry:
    """The Hub, or what HF_ENDPOINT names; credentials are those of `hf auth login` or HF_TOKEN."""

    kind = "hub"

    def __init__(self, *, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s

    def manifest(self, name: str, revision: str | None) -> Manifest:
        """What the Hub has of a revision; None is its default branch."""
        from huggingface_hub import HfApi

        with _translated(name, revision):
            about = HfApi().model_info(name, revision=revision, files_metadata=True, timeout=self._timeout_s)
            files = tuple(_file(item) for item in about.siblings or ())
            return Manifest(
                name=name,
                revision=revision or DEFAULT_REVISION,
                commit=str(about.sha),
                registry=self.kind,
                files=files,
            )

    @contextmanager
    def read(self, manifest: Manifest, file: RemoteFile, start: int) -> Iterator[Content]:
        """A file's content, from `start` on where the server can."""
        from huggingface_hub import get_session, hf_hub_url
        from huggingface_hub.utils import (  # type: ignore[attr-defined]  # its __init__ names no public list
            build_hf_headers,
            hf_raise_for_status,
        )

        address = hf_hub_url(manifest.name, file.path, revision=manifest.commit)
        # Compressed, the offsets and sizes would mean something else.
        headers = {**build_hf_headers(), "accept-encoding": "identity"}
        if start:
            headers["range"] = f"bytes={start}-"
        with (
            _translated(manifest.name, manifest.revision),
            get_session().stream(
                "GET", address, headers=headers, timeout=self._timeout_s, follow_redirects=True
            ) as response,
        ):
            hf_raise_for_status(response)
            begins = start if response.status_code == 206 else 0
            yield Content(start=begins, chunks=_chunks(manifest, response))


def _chunks(manifest: Manifest, response: "httpx.Response") -> Iterator[bytes]:
    with _translated(manifest.name, manifest.revision):
        yield from response.iter_bytes()


def _file(item: Any) -> RemoteFile:
    sha256 = item.lfs["sha256"] if item.lfs else None
    return RemoteFile(path=item.rfilename, size=item.size or 0, sha256=sha256, git_sha1=item.blob_id)


@contextmanager
def _translated(name: str, revision: str | None) -> Iterator[None]:
    """What the library and its HTTP raise, as errors of ours."""
    import httpx
    from huggingface_hub import errors

    try:
        yield
    except errors.HFValidationError as error:
        raise InvalidModelName(f"{name!r} is no name on the Hugging Face Hub", hint="owner/name") from error
    except errors.OfflineModeIsEnabled as error:
        raise RegistryAway("HF_HUB_OFFLINE forbids asking the Hugging Face Hub") from error
    except errors.HfHubHTTPError as error:
        raise _of_answer(name, revision, error) from error
    except httpx.HTTPError as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise RegistryAway(f"the Hugging Face Hub cannot be reached: {reason}", hint="try again later") from error


def _of_answer(name: str, revision: str | None, error: Any) -> HeliostatError:
    from huggingface_hub import errors

    status, address = error.response.status_code, f"https://huggingface.co/{name}"
    named = f"{name} on the Hugging Face Hub"
    if isinstance(error, errors.GatedRepoError):
        return GatedModel(f"{named} asks for its terms to be accepted", hint=f"at {address}, then: hf auth login")
    if isinstance(error, errors.RevisionNotFoundError):
        return RevisionNotFound(f"{named} has no revision {revision}", hint="a branch, a tag or a commit")
    if isinstance(error, errors.RepositoryNotFoundError | errors.RemoteEntryNotFoundError) or status == 404:
        return ModelNotFound(
            f"{named} does not exist or is private", hint="a folder, or owner/name as on the Hub; hf auth login"
        )
    if status in {401, 403}:
        return PermissionDenied(f"{named} may not be read with these credentials", hint="hf auth login")
    later = _seconds(error.response.headers.get("retry-after")) if status in {429, 503} else None
    busy = "asks us to come back later" if status == 429 else f"answers with {status}"
    return RegistryAway(f"the Hugging Face Hub {busy}", hint="try again later", retry_after_s=later)


def _seconds(text: str | None) -> float | None:
    """Of a Retry-After header; the form with a date is not used by the Hub."""
    return float(text) if text and text.isdigit() else None
