"""`batch run`: the job that the gateway starts for a batch. Heavy imports are inside: `--help` is quick."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster.errors import Conflict

if TYPE_CHECKING:
    from cluster.settings.tree import Settings
    from pipelines.batches.run import Workshop

LINE_MARGIN_S = 60.0  # the gateway's own deadline comes first, and its answer says more

app = typer.Typer(help="Run OpenAI's batches.", no_args_is_help=True, add_completion=False)


@app.callback()
def batch() -> None:
    """Run OpenAI's batches."""


@app.command()
def run(
    batch_id: Annotated[str, typer.Argument(metavar="ID", help="A batch of the database.")],
    submission: Annotated[str | None, typer.Option(help="The job that it was claimed for.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="Config whose settings are taken.", show_default="the running cluster's")
    ] = None,
) -> None:
    """Run a batch on the running cluster, or go on with one; then those that wait."""
    import asyncio

    from cluster.config import home, load_config
    from cluster.runtime.state import read_state
    from pipelines.driver import become_driver

    state = read_state(home())
    settings = load_config(config or state.config).settings
    shop = _workshop(settings, Path(state.home))
    mine = submission or shop.batches.get(batch_id).submission_id
    if mine is None:
        mine = f"manual-{batch_id}"
        if not shop.batches.claim(batch_id, mine, before=None, most=settings.batches.max_running):
            raise Conflict(
                f"The batch {batch_id} has ended, or no place is free for it", hint="batches.max_running"
            )
    become_driver(shop.home)
    asyncio.run(_run(batch_id, mine, shop, state.application))


async def _run(batch_id: str, submission: str, shop: "Workshop", application: str) -> None:
    from cluster.stores.runs import Superseded
    from pipelines.batches.gateway import ServedGateway
    from pipelines.batches.run import BatchJob, run_waiting, sweep_folders

    ask = ServedGateway(application).answer
    sweep_folders(shop.home, shop.batches)
    try:
        status = await BatchJob(batch_id, submission, shop, ask).run()
    except Superseded:
        status = "another job's, or ended before"
    sys.stdout.write(f"{batch_id}: {status}\n")
    await run_waiting(submission, shop, ask)


def _workshop(settings: "Settings", home: Path) -> "Workshop":
    from cluster.stores.batches import Batches
    from cluster.stores.database import open_database
    from cluster.stores.files import Files
    from pipelines.batches.run import Workshop

    engine = open_database(settings.database_url)
    return Workshop(
        home=home,
        batches=Batches(engine),
        files=Files(engine, home),
        served=frozenset(model.id for model in settings.models),
        settings=settings.batches,
        max_line_bytes=settings.limits.max_body_bytes,
        timeout_s=settings.limits.generation_timeout_ms / 1000 + LINE_MARGIN_S,
    )
