"""The command line: options, a search by one process or several, and an exit status."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace

import click

from harness.databases.place import Kind, Place, parse_place
from harness.fuzz import libfuzzer
from harness.fuzz.corpus import Corpus, read_file
from harness.fuzz.finding import Finding, keep
from harness.fuzz.options import Options
from harness.fuzz.progress import Progress, status_line
from harness.fuzz.target import NAMES, find_target
from harness.fuzz.team import Reporting, Team, jobs
from harness.fuzz.work import open_shared, work

_ENGINES = ("auto", "atheris", "lines")


def _read_places(_context: click.Context, _option: click.Parameter, texts: tuple[str, ...]) -> tuple[Place, ...]:
    try:
        return tuple(map(parse_place, texts))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("name", metavar=f"[{'|'.join(NAMES)}]", type=click.Choice(NAMES), required=False)
@click.option(
    "--time",
    "seconds",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to search.",
)
@click.option(
    "--runs", type=click.IntRange(min=1), metavar="N", help="Stop after so many cases, however long they take."
)
@click.option(
    "--workers",
    type=click.IntRange(min=1, max=1024),
    default=1,
    show_default=True,
    metavar="N",
    help="How many processes search at once.",
)
@click.option(
    "--database",
    "databases",
    callback=_read_places,
    multiple=True,
    metavar="URL|DIR",
    help="Share what is found with everybody who names this database: redis://HOST:PORT/NUMBER, a folder, or "
    "github://OWNER/REPO for what CI kept as an artifact. May be repeated.",
)
@click.option("--database-read-only", "read_only", is_flag=True, help="Take from --database, and write nothing to it.")
@click.option(
    "--corpus",
    type=click.Path(file_okay=False),
    metavar="DIR",
    help="Buffers to start from; what reaches something new is added.  [default: fixtures/corpus/TARGET]",
)
@click.option("--seed", type=int, help="Where chance begins; without it, somewhere else each time.")
@click.option(
    "--save", type=click.Path(file_okay=False), metavar="DIR", help="Where failing cases go.  [default: the corpus]"
)
@click.option("--engine", type=click.Choice(_ENGINES), default="auto", show_default=True, help="Who makes the buffers.")
@click.option(
    "--minimise", is_flag=True, help="Search for nothing: run the corpus, and delete what reaches no line of its own."
)
@click.option("--report-to", type=int, hidden=True)
@click.option("--share", type=int, nargs=2, default=(0, 1), hidden=True)
@click.pass_context
def fuzz(  # noqa: PLR0917  click gives them by name
    context: click.Context,
    name: str | None,
    seconds: float,
    runs: int | None,
    workers: int,
    databases: tuple[Place, ...],
    corpus: str | None,
    seed: int | None,
    save: str | None,
    engine: str,
    report_to: int | None,
    share: tuple[int, int],
    *,
    read_only: bool,
    minimise: bool,
) -> None:
    """Search for inputs that break a part of kubeimage, guided by what code they reach.

    parser: any text or bytes. executor: projects, built in memory, against the model. layers: tars that lie, layers
    against the model. store: damaged stores, and every command on them. dockerfile: texts in the dialects after
    Docker's rules. dialects: projects in them, against their model. Without a name, all of them.

    Buffers become cases through Hypothesis's fuzz_one_input and the strategies of harness.strategies. The engine
    "atheris" lets libFuzzer make them, which sees branches and comparisons; it needs `pip install kubeimage[fuzz]`.
    The engine "lines" is a simple one of our own: it keeps buffers that reach a line that none has reached, and changes
    those. "auto" takes atheris where it is installed.

    What fails is made as small as possible, printed once, and saved as crash-SHA, which every test run tries again.
    Workers share a database, here or with --database across machines: what one of them reaches, the others go on from.
    Exit status: 0 nothing found, 1 something found or a worker was lost, 2 wrong usage.
    """
    if name is None and (minimise or corpus is not None):
        raise click.UsageError("a corpus is that of one target: name it")
    options = Options(
        seconds=seconds,
        runs=runs,
        corpus=corpus,
        save=save,
        seed=secrets.randbelow(1 << 31) if seed is None else seed,
        engine=_choose(engine),
        databases=databases,
        read_only=read_only,
        share=share,
    )
    if minimise and name is not None:
        _minimise(name, options.seeds_of(name))
        return
    for target in NAMES if name is None else (name,):
        _make(options.seeds_of(target))
    if report_to is not None and name is not None:
        told = Reporting(report_to)
        context.exit(work(name, options, told, told.report, is_needed=told.is_needed))
    if name is None or workers > 1:
        context.exit(_search_together(name, options, workers))
    context.exit(_search(name, options))


def _search(name: str, options: Options) -> int:
    seeds = options.seeds_of(name)
    _say(f"{name}: {options.engine} makes the buffers, --seed {options.seed}, {len(seeds.seeds())} in {seeds.folder}")
    return work(name, options, Progress(), _printer(options.crashes_of(name)), find=find_target)


def _search_together(name: str | None, options: Options, workers: int) -> int:
    """Search by several processes, and return the exit status."""
    with tempfile.TemporaryDirectory(prefix="kubeimage-fuzz-") as folder:
        if not options.databases:
            options = replace(options, databases=(Place(Kind.FOLDER, folder),))
        shown, begun = name or "all targets", time.monotonic()
        _say(f"{shown}: {workers} workers, {options.engine} makes the buffers, --seed {options.seed}")

        def status(runs: int, found: int) -> str:
            return status_line(shown, time.monotonic() - begun, options.seconds, runs, found)

        printers = {target: _printer(options.crashes_of(target)) for target in NAMES}
        team = Team(jobs(name, options, workers), workers, printers, Progress(), status)
        # What is wrong with a database is said before anybody starts.
        open_shared(options, team.tell)
        team.run()
        lost = "".join(f"; {death}" for death in team.deaths)
        team.progress.end(status(team.runs, len(team.reported)) + lost, team.runs, sys.stderr)
        return 1 if team.reported or team.deaths else 0


def _printer(crashes: Corpus) -> Callable[[Finding], None]:
    """Return what prints a finding, and saves its case."""

    def show(finding: Finding) -> None:
        click.echo(f"{finding.text}\n{keep(finding, crashes)}\n")

    return show


def _say(line: str) -> None:
    click.echo(line, err=True)


def _make(corpus: Corpus) -> None:
    try:
        os.makedirs(corpus.folder, exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"there is no room for a corpus in {corpus.folder}: {error.strerror}") from error


def _choose(engine: str) -> str:
    if engine == "atheris" and not libfuzzer.is_there():
        raise click.UsageError("atheris is not installed: pip install 'kubeimage[fuzz]', or take --engine lines")
    return engine if engine != "auto" else "atheris" if libfuzzer.is_there() else "lines"


def _minimise(name: str, corpus: Corpus) -> None:
    """Keep the buffer that reaches most lines, then the one that adds most to it, and so on; delete the others."""
    from harness.fuzz.lines import Lines
    from harness.fuzz.runner import Runner

    reached = {}
    for path in corpus.seeds():
        lines = Lines()
        Runner(find_target(name), lines.watched).run(read_file(path))
        reached[path] = lines.seen
    wanted = set().union(*reached.values())
    left, missing = set(reached), set(wanted)
    while missing:
        best = max(sorted(left), key=lambda path: len(reached[path] & missing))
        missing -= reached[best]
        left.remove(best)
    for path in left:
        os.unlink(path)
    _say(f"{name}: {len(left)} deleted, {len(reached) - len(left)} left, which reach {len(wanted):,} lines")
