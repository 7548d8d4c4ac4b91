"""`python -m pipelines`: documents, sweeps, batches and training from the command line."""

import typer

from cluster.console.terminal import run
from pipelines.batches.command import app as batches
from pipelines.documents.command import ingest, reindex, sync
from pipelines.documents.documents_command import app as documents
from pipelines.documents.evaluation.command import app as evaluation
from pipelines.sweeps.command import app as sweeps
from pipelines.training.__main__ import app as training

app = typer.Typer(
    help="Work over many rows: documents, sweeps, batches, training.", no_args_is_help=True, add_completion=False
)
app.command("ingest")(ingest)
app.command("sync")(sync)
app.command("reindex")(reindex)
app.add_typer(documents, name="documents")
app.add_typer(evaluation, name="eval")
app.add_typer(sweeps, name="sweep")
app.add_typer(batches, name="batch")
app.add_typer(training, name="train")


if __name__ == "__main__":
    run(app, program="python -m pipelines")
