"""`eval retrieval`: how good retrieval is on a judged collection. Heavy imports are inside: `--help` is quick."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster.errors import BadRequest
from pipelines.documents.evaluation.run import Mode

if TYPE_CHECKING:
    from pipelines.documents.evaluation.measure import Report

EXIT_MISSED = 1
NOT_SAID: tuple[int | None, ...] = (None,)
FIRST_MODES = (Mode.DENSE, Mode.BM25, Mode.HYBRID)

app = typer.Typer(help="Measure quality.", no_args_is_help=True, add_completion=False)


@app.callback()
def evaluation() -> None:
    """Measure quality."""


@app.command()
def retrieval(
    folder: Annotated[
        Path,
        typer.Argument(help="A BEIR folder: corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv.", show_default=False),
    ],
    mode: Annotated[
        list[Mode] | None, typer.Option(help="Again for another; dense, bm25 and hybrid by default.")
    ] = None,
    rerank: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Also measure hybrid in this model's order.")
    ] = None,
    split: Annotated[str, typer.Option(help="Which judgements: the name of a file in qrels.")] = "test",
    collection: Annotated[
        str | None, typer.Option(help="Store there and keep it; else in one that is thrown away.")
    ] = None,
    chunk_tokens: Annotated[
        list[int] | None, typer.Option(help="Tokens of a chunk, in place of the config's; again to compare.")
    ] = None,
    chunk_overlap: Annotated[
        list[int] | None, typer.Option(help="Tokens that chunks share, likewise; all combinations are measured.")
    ] = None,
    exact: Annotated[bool, typer.Option(help="Also hold the index against exact search.")] = True,
    at_least: Annotated[
        list[str] | None,
        typer.Option(metavar="MODE=NDCG", help="Exit 1 where a mode's nDCG@10, in hundredths, is less."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The Parquet file; by default under the home.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Store a judged collection on the running cluster, ask its queries, and say how well they were answered."""
    modes = _modes(mode, rerank)
    least = read_least(at_least or (), modes)
    check_collection(collection, recut=bool(chunk_tokens or chunk_overlap))
    from cluster.console.progress import Progress
    from pipelines.documents.evaluation.dataset import read_dataset
    from pipelines.documents.evaluation.measure import Cut, Plan, measure
    from pipelines.documents.evaluation.table import missed

    cuts = tuple(
        Cut(tokens=tokens, overlap=overlap)
        for tokens in dict.fromkeys(chunk_tokens or NOT_SAID)
        for overlap in dict.fromkeys(chunk_overlap or NOT_SAID)
    )
    plan = Plan(modes=modes, cuts=cuts, rerank=rerank, split=split, collection=collection, exact=exact, file=out)
    dataset = read_dataset(folder, split=split)
    with Progress() as progress:
        reports, file = measure(dataset, plan, progress)
    for line in _told(reports, file, as_json=as_json):
        typer.echo(line)
    short = [line for report in reports for line in missed(report.scores, least)]
    for line in short:
        typer.echo(f"missed: {line}", err=True)
    if short:
        raise typer.Exit(EXIT_MISSED)


def _told(reports: "Sequence[Report]", file: Path, *, as_json: bool) -> Iterator[str]:
    from pipelines.documents.evaluation.table import as_json as json_of
    from pipelines.documents.evaluation.table import lines, title

    if as_json:
        runs = [json_of(report.of, report.scores, report.notes) for report in reports]
        yield json.dumps({"file": str(file), "runs": runs}, indent=1)
        return
    for report in reports:
        yield title(report.of)
        yield from lines(report.scores)
        yield from report.notes
        yield ""
    yield f"rows: {file}"


def read_least(given: Sequence[str], modes: Sequence[Mode]) -> dict[str, float]:
    """`hybrid=43.8` as a mode and its least nDCG@10. Raises BadRequest."""
    found: dict[str, float] = {}
    for text in given:
        name, _, number = text.partition("=")
        try:
            found[name] = float(number)
        except ValueError:
            found[name] = math.nan
        if not math.isfinite(found[name]):
            raise BadRequest(f"--at-least {text!r}: no number", hint="such as hybrid=43.8")
        if name not in modes:
            asked = ", ".join(modes)
            raise BadRequest(f"--at-least {text!r}: {name!r} is not measured", hint=f"measured are {asked}")
    return found


def check_collection(name: str | None, *, recut: bool) -> None:
    """Refuse a name that the API would not find what is stored there by. Raises BadRequest."""
    if name is None:
        return
    if recut:
        hint = "leave one of them out: the next ingest would cut what is kept as the config says"
        raise BadRequest("--collection keeps what is stored, and --chunk-… cuts it otherwise", hint=hint)
    from cluster.stores.collection_names import ID_PREFIX, TENANT_PREFIX, is_operators

    if not is_operators(name):
        hint = f"3 to 128 letters, digits and inside also . _ -, without {ID_PREFIX} or {TENANT_PREFIX} before it"
        raise BadRequest(f"--collection {name[:80]!r}: no collection can be named so", hint=hint)


def _modes(given: Sequence[Mode] | None, rerank: str | None) -> tuple[Mode, ...]:
    wanted = dict.fromkeys(given or FIRST_MODES)
    if rerank is not None:
        wanted[Mode.RERANK] = None
    elif Mode.RERANK in wanted:
        raise BadRequest("Mode rerank needs a model to order by", hint="--rerank MODEL")
    return tuple(wanted)
