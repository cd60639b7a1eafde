import io
import json
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.builder.events import (
    BuildFinished,
    BuildStarted,
    Event,
    StepFinished,
    StepOutput,
    StepStarted,
    Warned,
)
from kubeimage.builder.plan import BuildOptions, BuildPlan
from kubeimage.builder.planning import make_plan
from kubeimage.cli.jsonlines import JsonProgress
from kubeimage.cli.plain import PlainProgress
from kubeimage.cli.progress import Progress, QuietProgress
from kubeimage.cli.streams import LineSplitter, Muffled
from kubeimage.image.digest import Digest
from kubeimage.image.document import History, Layer
from kubeimage.image.platform import Platform
from kubeimage.kubefile import lint, parse

TEXT = """\
FROM scratch
COPY a b etc
RUN echo hello
RUN true
COPY c .
CMD ["helm", "install"]
"""
AMD64 = Platform("linux", "amd64")


def layer_of(plan: BuildPlan, number: int, size: int) -> Layer:
    """Return the layer of a step, with a digest that is easy to read."""
    instruction = plan.steps[number - 1].instruction
    return Layer(Digest(str(number) * 64), size, instruction.keyword, instruction.value)


def build() -> tuple[BuildPlan, list[Event]]:
    """Return the events of a build: a hit, a miss with output, a step without change, another miss, a note."""
    plan = make_plan(parse(TEXT, file="app/Kubefile"), None, BuildOptions(platform=AMD64))
    copy, echo, true, other, cmd = plan.steps
    layers = (layer_of(plan, 1, 12_288), layer_of(plan, 2, 999), layer_of(plan, 4, 1_500_000))
    image = plan.compose(layers, tuple(History(step.text) for step in plan.steps[:1]))
    events: list[Event] = [
        BuildStarted(5, "scratch", 0),
        StepStarted(copy),
        Warned("etc/id_rsa looks like a key", copy),
        StepFinished(copy, layers[0], cached=True),
        StepStarted(echo),
        StepOutput(echo, b"hel"),
        StepOutput(echo, b"lo\r\n10%\r100%\n\x1b[31mgr\xc3"),
        StepOutput(echo, b"\xb6\xc3\x9fe\xff"),
        StepFinished(echo, layers[1], cached=False, why_missed="arg VERSION: 2.1 -> 2.2", seconds=12.3456),
        StepStarted(true),
        StepFinished(true, None, cached=False, why_missed="an earlier step missed"),
        StepStarted(other),
        StepFinished(other, layers[2], cached=False, why_missed="an earlier step missed"),
        StepStarted(cmd),
        StepFinished(cmd, None, cached=False),
        Warned("CMD 'x' will not run again"),
        BuildFinished(image, Digest("f" * 64), ("example.com/app:v1",), seconds=192.0),
    ]
    return plan, events


def watch(progress: Progress, events: Iterable[Event]) -> None:
    """Tell it all."""
    for event in events:
        progress(event)
    progress.close()


PLAIN = """\
FROM scratch
[1/5] COPY a b etc
warning: etc/id_rsa looks like a key
  --> app/Kubefile:2:1
      cached: sha256:111111111111 12 kB
[2/5] RUN echo hello
  | hello
  | 100%
  | größe\N{REPLACEMENT CHARACTER}
      sha256:222222222222 999 B, 12 s (arg VERSION: 2.1 -> 2.2)
[3/5] RUN true
      no change (an earlier step missed)
[4/5] COPY c .
      sha256:444444444444 1.5 MB (an earlier step missed)
[5/5] CMD ["helm", "install"]
warning: CMD 'x' will not run again
1 cached, 3 done; 3 layers, 1.5 MB; 3 min 12 s
saved as example.com/app:v1
"""


def test_plain_progress_is_lines_for_people() -> None:
    lines: list[str] = []

    watch(PlainProgress(lines.append), build()[1])

    assert "".join(f"{line}\n" for line in lines) == PLAIN


def test_json_progress_is_one_object_a_line() -> None:
    lines: list[str] = []
    _, events = build()

    watch(JsonProgress(lines.append), events)

    def step(number: int, text: str) -> dict[str, object]:
        return {"step": number, "text": text, "file": "app/Kubefile", "line": number + 1}

    def finished(
        number: int, text: str, size: int | None, why: str | None, *, cached: bool = False, seconds: float = 0.0
    ) -> object:
        layer = f"sha256:{str(number) * 64}" if size else None
        return {
            "event": "step_finished",
            **step(number, text),
            "cached": cached,
            "layer": layer,
            "size": size,
            "why_missed": why,
            "seconds": seconds,
        }

    cmd = 'CMD ["helm", "install"]'
    earlier = "an earlier step missed"
    assert [json.loads(line) for line in lines] == [
        {
            "event": "build_started",
            "steps": 5,
            "dialect": "sealer",
            "base": "scratch",
            "base_layers": 0,
            "base_digest": None,
        },
        {"event": "step_started", **step(1, "COPY a b etc")},
        {"event": "warning", "message": "etc/id_rsa looks like a key", **step(1, "COPY a b etc")},
        finished(1, "COPY a b etc", 12_288, None, cached=True),
        {"event": "step_started", **step(2, "RUN echo hello")},
        {"event": "output", "step": 2, "text": "hello\r"},
        {"event": "output", "step": 2, "text": "10%\r100%"},
        {"event": "output", "step": 2, "text": "\x1b[31mgröße\N{REPLACEMENT CHARACTER}"},
        finished(2, "RUN echo hello", 999, "arg VERSION: 2.1 -> 2.2", seconds=12.346),
        {"event": "step_started", **step(3, "RUN true")},
        finished(3, "RUN true", None, earlier),
        {"event": "step_started", **step(4, "COPY c .")},
        finished(4, "COPY c .", 1_500_000, earlier),
        {"event": "step_started", **step(5, cmd)},
        finished(5, cmd, None, None),
        {"event": "warning", "message": "CMD 'x' will not run again", "step": None},
        {
            "event": "build_finished",
            "image_id": str(events[-1].image.id),  # type: ignore[union-attr]
            "manifest": f"sha256:{'f' * 64}",
            "references": ["example.com/app:v1"],
            "layers": 3,
            "size": 1_513_287,
            "seconds": 192.0,
        },
    ]
    assert all(line.isprintable() for line in lines)


def test_advice_and_notes_are_told_in_both_forms() -> None:
    plain: list[str] = []
    records: list[str] = []
    (advice,) = lint(parse(TEXT, file="app/Kubefile"))

    for progress in (PlainProgress(plain.append), JsonProgress(records.append)):
        progress.advise(advice)
        progress.note("mount: overlay")

    assert plain[:2] == [f"warning[W02]: {advice.message}", "  --> app/Kubefile:6:1"]
    assert plain[-1] == "note: mount: overlay"
    assert [(one["event"], one.get("code"), one.get("line")) for one in map(json.loads, records)] == [
        ("advice", "W02", 6),
        ("note", None, None),
    ]


def test_the_last_words_of_a_failed_run_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    plan, _ = build()
    events: list[Event] = [StepStarted(plan.steps[1]), StepOutput(plan.steps[1], b"one\ncannot go on")]
    plain: list[str] = []
    records: list[str] = []

    watch(PlainProgress(plain.append), events)
    watch(JsonProgress(records.append), events)

    assert plain[-2:] == ["  | one", "  | cannot go on"]
    assert json.loads(records[-1]) == {"event": "output", "step": 2, "text": "cannot go on"}


def test_quiet_progress_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    progress = QuietProgress()
    progress.note("mount: overlay")

    watch(progress, build()[1])

    assert capfd.readouterr() == ("", "")


@given(st.lists(st.binary(max_size=9) | st.sampled_from([b"\n", "é\n".encode(), b"a" * 9000])))
def test_lines_do_not_depend_on_how_output_was_cut(chunks: list[bytes]) -> None:
    whole, cut = LineSplitter(), LineSplitter()

    at_once = [*whole.feed(b"".join(chunks)), *whole.finish()]
    in_pieces = [*(line for chunk in chunks for line in cut.feed(chunk)), *cut.finish()]

    assert "".join(in_pieces) == "".join(at_once)
    assert max(map(len, in_pieces), default=0) <= 20_000


def test_an_endless_line_takes_no_endless_memory() -> None:
    splitter = LineSplitter()

    lines = [line for _ in range(100) for line in splitter.feed(b"x" * 10_000)]

    assert sum(map(len, lines)) > 990_000
    assert {len(line) for line in lines} == {8192}


class Broken(io.StringIO):
    """A stream whose reader is gone."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0

    def write(self, _text: str) -> int:
        self.writes += 1
        raise BrokenPipeError


def test_a_reader_that_goes_away_is_asked_once_and_ends_no_build() -> None:
    stream = Broken()

    watch(PlainProgress(Muffled(stream)), build()[1])

    assert stream.writes == 1
