"""The end of a batch: what is stored becomes its output and its error file. Done twice, it gives the same."""

from collections.abc import Iterable
from hashlib import blake2b

from cluster.stores.batches import CANCELLED, EXPIRED, Batch, Ending
from cluster.stores.draft import Draft
from cluster.stores.files import BATCH_OUTPUT, Files
from pipelines.batches.folder import Answered, BatchFolder

LEFT_OUT = {
    EXPIRED: ("batch_expired", "This request could not be executed before the completion window expired."),
    CANCELLED: ("batch_cancelled", "This request was not executed, because the batch was cancelled."),
}


def write_files(
    batch: Batch, folder: BatchFolder, files: Files, status: str, left_out: Iterable[Answered] = ()
) -> Ending:
    """Make the files of a batch that ends with a status; a file that would be empty is not made.

    left_out: answers to lines that never ran; they go to the error file.
    """
    output_id, error_id = (_file_id(batch.id, kind) for kind in ("output", "error"))
    with files.draft(output_id) as output, files.draft(error_id) as errors:
        for answer in folder.answers():
            (output if answer.ok else errors).write(answer.output + b"\n")
        for answer in left_out:
            errors.write(answer.output + b"\n")
        return Ending(
            status=status,
            output_file_id=_keep(batch, files, output, "output"),
            error_file_id=_keep(batch, files, errors, "error"),
        )


def _keep(batch: Batch, files: Files, draft: Draft, kind: str) -> str | None:
    if not draft.size:
        return None
    return files.keep(
        draft,
        owner=batch.owner,
        filename=f"{batch.id}_{kind}.jsonl",
        purpose=BATCH_OUTPUT,
        expires_s=batch.output_expires_s,
    ).id


def _file_id(batch_id: str, kind: str) -> str:
    """The same for every try to end the batch, so that one that was killed leaves no file of its own behind."""
    return f"file-{blake2b(f'{batch_id} {kind}'.encode(), digest_size=12).hexdigest()}"
