"""The command line: options, a search, and an exit status.

Kubeimage is imported after the choice of who searches: atheris must see it come in.
"""

from __future__ import annotations

import os
import secrets
import sys
from contextlib import suppress
from random import Random

import click

from harness.fuzz import libfuzzer
from harness.fuzz.corpus import Corpus, read_file
from harness.fuzz.progress import Progress
from harness.fuzz.target import NAMES, find_target

_ENGINES = ("auto", "atheris", "lines")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("name", metavar="|".join(NAMES), type=click.Choice(NAMES))
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
@click.pass_context
def fuzz(  # noqa: PLR0917  click gives them by name
    context: click.Context,
    name: str,
    seconds: float,
    runs: int | None,
    corpus: str | None,
    seed: int | None,
    save: str | None,
    engine: str,
    *,
    minimise: bool,
) -> None:
    """Search for inputs that break a part of kubeimage, guided by what code they reach.

    parser: any text or bytes. executor: projects, built in memory, against the model. layers: tars that lie, layers
    against the model. store: damaged stores, and every command on them.

    Buffers become cases through Hypothesis's fuzz_one_input and the strategies of harness.strategies. The engine
    "atheris" lets libFuzzer make them, which sees branches and comparisons; it needs `pip install kubeimage[fuzz]`.
    The engine "lines" is a simple one of our own: it keeps buffers that reach a line that none has reached, and changes
    those. "auto" takes atheris where it is installed.

    What fails is made as small as possible, printed, and saved as crash-SHA, which every test run tries again.
    Exit status: 0 nothing found, 1 something found, 2 wrong usage.
    """
    folder = Corpus(corpus or os.path.join("fixtures", "corpus", name))
    if minimise:
        _minimise(name, folder)
        return
    chosen = _choose(engine)
    _make(folder)
    seed = secrets.randbelow(1 << 31) if seed is None else seed
    click.echo(f"{name}: {chosen} makes the buffers, --seed {seed}, {len(folder.seeds())} in {folder.folder}", err=True)
    status = _search(name, folder, Corpus(save or folder.folder), chosen, seed, seconds=seconds, most_runs=runs)
    context.exit(status)


def _search(
    name: str, seeds: Corpus, crashes: Corpus, engine: str, seed: int, *, seconds: float, most_runs: int | None
) -> int:
    """Search, say what came of it, and give the exit status; atheris ends the process by itself."""
    if engine == "atheris":
        libfuzzer.instrument()

    from harness.fuzz.lines import Lines
    from harness.fuzz.runner import Runner
    from harness.fuzz.search import search
    from harness.fuzz.session import Finished, Session

    # A Ctrl-C may come while click's runner has its own streams in the place of ours, and has not put them back.
    screen = sys.stderr
    progress, lines = Progress(), Lines()
    runner = Runner(find_target(name), lines.watched) if engine == "lines" else Runner(find_target(name))
    session = Session(runner, crashes, progress, seconds=seconds, most_runs=most_runs)

    def end() -> int:
        progress.close()
        click.echo(session.status(), file=screen)
        return 1 if session.found else 0

    if engine == "atheris":
        libfuzzer.search(session.run, seeds, seed, end)
    with suppress(Finished, KeyboardInterrupt):
        chance = Random(seed)  # noqa: S311  chance, not secrecy
        search(session.run, lines, map(read_file, seeds.seeds()), seeds.keep, chance)
    return end()


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
    click.echo(
        f"{name}: {len(left)} deleted, {len(reached) - len(left)} left, which reach {len(wanted):,} lines", err=True
    )
