"""`heliostat sweep rescore`: scores from stored texts, and pairs of answers before a judge. No cell runs again."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from cluster.errors import BadRequest, NotRunning, PlanTooLarge
from pipelines.sweeps.stored_command import SweepId
from pipelines.sweeps.targets import connect, find_run, target_of

if TYPE_CHECKING:
    from cluster.stores.runs import Run
    from pipelines.sweeps.run import Target
    from pipelines.sweeps.scoring_spec import JudgeSpec
    from pipelines.sweeps.spec import SweepSpec


def add_to(app: typer.Typer) -> None:
    """Put the command into `heliostat sweep`."""
    app.command()(rescore)


def rescore(
    sweep_id: SweepId,
    embedder: Annotated[
        bool, typer.Option(help="Without: no cluster is needed, and scores of meaning are absent.")
    ] = True,
    judge: Annotated[
        str | None, typer.Option(metavar="MODEL", help="The judge.", show_default="the spec's")
    ] = None,
    criterion: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=TEXT", help="What it judges by; may be given again.", show_default="the spec's"),
    ] = None,
    judge_repeats: Annotated[
        int | None, typer.Option(help="How often it is asked the same.", show_default="the spec's, else 1")
    ] = None,
    pairs: Annotated[
        bool, typer.Option("--pairs", help="Have it compare configurations: pairs of answers, in both orders.")
    ] = False,
    baseline: Annotated[
        str | None, typer.Option(help="With --pairs: only against this configuration; an id's beginning.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask before pairs are judged.")] = False,
) -> None:
    """Compute a sweep's scores again from its stored texts, or have a judge compare them; nothing is generated."""
    from pipelines.sweeps.run import stored_spec
    from pipelines.sweeps.scoring_spec import judge_from

    found = find_run(sweep_id)
    spec = stored_spec(found)
    wanted = judge_from(spec.judge, model=judge, criteria=criterion or (), repeats=judge_repeats)
    if pairs:
        _compare(found, wanted, baseline, yes=yes, embedder=embedder)
        return
    if baseline is not None:
        raise BadRequest("--baseline goes with --pairs", param="baseline")
    if wanted is not None and wanted != spec.judge and not embedder:
        raise BadRequest("a judge is asked on the cluster, and --no-embedder does without one", param="judge")
    _score(found, spec, wanted, embedder=embedder)


def _score(found: "Run", spec: "SweepSpec", wanted: "JudgeSpec | None", *, embedder: bool) -> None:
    from pipelines.sweeps import rescore as rescoring

    new = wanted if wanted != spec.judge else None
    if new is not None:
        spec = spec.judged_by(new)
    desk = None
    if embedder:
        target = _target(
            "the served embedder helps to score",
            "; or --no-embedder, which leaves out coherence, novelty and the judge",
        )
        if new is not None:
            _check_served(new, target)
        connect(target)
        desk = target.desk
    rows = rescoring.rescore(found, rescoring.scorers_for(spec, desk), spec)
    sys.stdout.write(f"{rows} rows of {found.id} have their scores anew\n")


def _compare(found: "Run", wanted: "JudgeSpec | None", baseline: str | None, *, yes: bool, embedder: bool) -> None:
    from pipelines.sweeps.judging import asking, revision_of
    from pipelines.sweeps.pairs import Judged, config_named, judge_pairs, work_of

    if wanted is None:
        raise BadRequest("no judge: the spec names none", hint="--judge MODEL", param="judge")
    if not embedder:
        raise BadRequest("--pairs asks a judge and embeds nothing: leave --no-embedder out", param="embedder")
    judge = wanted.judge
    against = config_named(found, baseline) if baseline is not None else None
    work = work_of(found, judge, against)
    target = _target("the judge is a served model", "")
    _check_served(wanted, target)
    most = target.settings.max_cells
    if work.questions > most:
        raise PlanTooLarge(
            f"{work.pairs:,} pairs are {work.questions:,} questions, over the limit of {most:,}",
            hint="--baseline ID compares with one configuration alone; sweeps.max_cells is the limit",
        )
    say = sys.stdout.write
    say(
        f"{work.pairs:,} pairs of answers, of {work.configurations:,} configurations to {work.prompts:,} prompts: "
        f"at most {work.questions:,} questions to {judge.id}\n"
    )
    sys.stdout.flush()
    if not yes and sys.stdin.isatty():
        typer.confirm("Ask it?", default=True, abort=True)
    connect(target)
    progress = _Lines(work.pairs)
    with found.held():
        done: Judged = judge_pairs(
            found,
            judge,
            asking(target.application, judge),
            revision=revision_of(target.application, judge),
            baseline=against,
            watch=progress.show,
        )
    for name in done.set_aside:
        say(f"damaged and set aside: {found.damaged / name}; its pairs were judged again\n")
    kept = f", {done.kept:,} had their verdicts" if done.kept else ""
    say(f"{done.asked:,} pairs of {found.id} were judged{kept}: heliostat sweep show {found.id}\n")


class _Lines:
    """A line on stderr every few seconds."""

    def __init__(self, total: int) -> None:
        from pipelines.sweeps.display import REPEAT_S

        self._total = total
        self._every_s = REPEAT_S
        self._shown_at = 0.0

    def show(self, done: int) -> None:
        import time

        now = time.monotonic()
        if done == self._total or now - self._shown_at >= self._every_s:
            self._shown_at = now
            sys.stderr.write(f"{done}/{self._total} pairs\n")
            sys.stderr.flush()


def _target(why: str, otherwise: str) -> "Target":
    try:
        _, target = target_of(None)
    except NotRunning as error:
        raise NotRunning(f"{error.message}: {why}", hint=f"heliostat up{otherwise}") from None
    return target


def _check_served(wanted: "JudgeSpec", target: "Target") -> None:
    from cluster.errors import ModelNotFound

    if wanted.model not in target.served:
        hint = f"served: {', '.join(target.served) or 'none'}"
        raise ModelNotFound(f"The model {wanted.model!r} does not exist here", hint=hint, param="judge")
