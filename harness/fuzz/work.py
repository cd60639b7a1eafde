"""One process at work on one target.

Kubeimage is imported after `libfuzzer.instrument`: atheris must see it come in.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING

import click

from harness.fuzz import libfuzzer
from harness.fuzz.corpus import Corpus, read_file
from harness.fuzz.finding import Finding
from harness.fuzz.options import Options
from harness.fuzz.progress import Progress
from harness.fuzz.sharing import SharedCases
from harness.fuzz.target import Target, find_target

if TYPE_CHECKING:
    from hypothesis.database import ExampleDatabase


def work(
    name: str,
    options: Options,
    progress: Progress,
    report: Callable[[Finding], None],
    *,
    is_needed: Callable[[], bool] = lambda: True,
    find: Callable[[str], Target] = find_target,
) -> int:
    """Search, and return the exit status; atheris ends the process by itself.

    Raises: click.UsageError for a database that cannot be opened.
    """
    if options.engine == "atheris":
        libfuzzer.instrument()

    from harness.fuzz.lines import Lines
    from harness.fuzz.runner import Runner
    from harness.fuzz.search import search
    from harness.fuzz.session import Finished, Session

    # A Ctrl-C may come while click's runner has its own streams in the place of ours, and has not put them back.
    screen = sys.stderr
    shared, lines = SharedCases(open_shared(options, progress.tell), name), Lines()
    runner = Runner(find(name), lines.watched) if options.engine == "lines" else Runner(find(name))
    session = Session(
        runner, report, progress, shared, seconds=options.seconds, most_runs=options.runs, is_needed=is_needed
    )
    seeds = options.seeds_of(name)

    def end() -> int:
        with suppress(KeyboardInterrupt):
            session.take_what_is_left()
        progress.end(session.status(), session.runs, screen)
        return 1 if session.found else 0

    if options.engine == "atheris":
        libfuzzer.search(_with_folder(session.run, shared, seeds), seeds, options.seed, end)

    def keep(buffer: bytes) -> None:
        seeds.keep(buffer)
        shared.keep_seed(buffer)

    with suppress(Finished, KeyboardInterrupt):
        session.look_around()
        chance = Random(options.seed)  # noqa: S311  chance, not secrecy
        search(session.run, lines, _share(seeds, options), keep, chance, news=shared.new_seeds)
    return end()


def open_shared(options: Options, tell: Callable[[str], None]) -> ExampleDatabase:
    """Return the database that was asked for, beside one that goes with the process.

    Raises: click.UsageError where a package is missing, or a folder cannot be written to.
    """
    from hypothesis.database import InMemoryExampleDatabase

    from harness.databases.shared import MissingExtraError, open_databases

    local = InMemoryExampleDatabase()
    try:
        return open_databases(options.databases, tell, local=local, read_only=options.read_only)
    except MissingExtraError as error:
        raise click.UsageError(f"--database: {error}") from error
    except OSError as error:
        raise click.UsageError(f"--database: {error.filename} cannot be written to") from error


def _share(seeds: Corpus, options: Options) -> Iterable[bytes]:
    """Yield the buffers of the corpus: the worker's own part of them first."""
    part, parts = options.share
    paths = seeds.seeds()
    return map(read_file, sorted(paths, key=lambda path: (paths.index(path) - part) % parts))


def _with_folder(
    run: Callable[[bytes], bytes | None], shared: SharedCases, seeds: Corpus
) -> Callable[[bytes], bytes | None]:
    """Exchange buffers by the corpus's folder, which libFuzzer writes to and reads again by itself."""
    known: set[str] = set()

    def exchange_and_run(buffer: bytes) -> bytes | None:
        if shared.is_due:
            for new in shared.new_seeds():
                known.add(seeds.keep(new))
            for path in set(seeds.seeds()) - known:
                known.add(path)
                shared.keep_seed(read_file(path))
        return run(buffer)

    return exchange_and_run
