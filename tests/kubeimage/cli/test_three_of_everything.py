"""Options set against steps, with three of all that there can be several of: two are not enough to see an order."""

import itertools
import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.cli.parsing import parse_build_args, parse_labels, parse_platforms
from kubeimage.errors import UsageError
from kubeimage.image.platform import Platform
from tests.kubeimage.cli.conftest import MakeContext, Run
from tests.properties.examples import examples

keys = st.sampled_from(["A", "B", "C"])
values = st.sampled_from(["", "1", "x=1,y", "2"])
THREE = ("linux/amd64", "linux/arm64", "linux/s390x")
PROJECT = {
    "Kubefile": "FROM scratch\nCOPY ${ARCH} bin\nCOPY common .\nARG A=0\nARG B\nARG C=3\nCMD run $A\nCMD run $C\n",
    "amd64": "a", "arm64": "b", "s390x": "c", "common": "d",
}  # fmt: skip


@examples(1)
@given(st.lists(st.tuples(keys, st.none() | values), max_size=6), st.dictionaries(keys, values, min_size=3))
def test_the_last_build_arg_of_a_key_counts(given_args: list[tuple[str, str | None]], outside: dict[str, str]) -> None:
    texts = tuple(key if value is None else f"{key}={value}" for key, value in given_args)

    assert parse_build_args(texts, outside) == {
        key: outside[key] if value is None else value for key, value in given_args
    }


@examples(1)
@given(st.lists(st.tuples(keys, values), max_size=6))
def test_the_last_label_of_a_key_counts(labels: list[tuple[str, str]]) -> None:
    assert parse_labels(tuple(f"{key}={value}" for key, value in labels)) == dict(labels)


@pytest.mark.parametrize("order", [*itertools.permutations(("linux/amd64", "linux/arm64", "linux/amd64/v1"))])
def test_a_platform_that_comes_twice_is_refused_wherever_it_does(order: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="names one platform twice"):
        parse_platforms(",".join(order))


@pytest.mark.parametrize("order", [*itertools.permutations(THREE)])
def test_three_platforms_are_three_in_their_order(order: tuple[str, ...]) -> None:
    assert parse_platforms(",".join(order)) == tuple(map(Platform.parse, order))


def listed(run: Run) -> list[tuple[str, str, str]]:
    images = json.loads(run("images", "--format=json").stdout)
    return sorted((one["name"], one["platform"], one["image_id"]) for one in images)


@pytest.mark.parametrize("no_cache", [(), ("--no-cache",)], ids=["cache", "no cache"])
def test_three_platforms_under_three_names_are_what_each_is_alone(
    run: Run, make_context: MakeContext, no_cache: tuple[str, ...]
) -> None:
    context = make_context(PROJECT)
    alone = {}
    for platform in THREE:
        alone[platform] = run("build", "-q", "-t", "x:1", "--platform", platform, "--no-cache", context).stdout.strip()
    names = ("one:v1", "two:v1", "three:v1")
    tags = [word for name in names for word in ("-t", name)]

    built = run("build", "--progress=json", *tags, *no_cache, "--platform", ",".join(THREE), context)

    found = [(name, platform, image_id) for name, platform, image_id in listed(run) if name in names]
    assert {(name, platform) for name, platform, _ in found} == {*itertools.product(names, THREE)}
    assert {(platform, f"sha256:{image_id.removeprefix('sha256:')}") for _, platform, image_id in found} == {
        *alone.items()
    }
    events = [json.loads(line) for line in built.stderr.splitlines()]
    said = [event["message"] for event in events if event["event"] == "note"]
    assert said == [f"for {platform}" for platform in THREE]
    hits = [event["cached"] for event in events if event["event"] == "step_finished" and event["layer"]]
    assert hits == [not no_cache] * 6
    run("fsck")


def test_each_platform_is_announced_once_and_in_order(run: Run, make_context: MakeContext) -> None:
    built = run("build", "-t", "app:v1", "--platform", ",".join(THREE), "--progress=plain", make_context(PROJECT))

    assert re.findall(r"^note: for (.*)$", built.stderr, re.MULTILINE) == list(THREE)


@pytest.mark.parametrize("epoch", [None, "0", "1", "1700000000"])
@pytest.mark.parametrize("preserve", [False, True], ids=["epoch", "preserve"])
def test_times_in_layers_are_what_the_options_say(
    run: Run, make_context: MakeContext, tmp_path: Path, epoch: str | None, *, preserve: bool
) -> None:
    context = make_context({"Kubefile": "FROM scratch\nCOPY a b c .\n", "a": "1", "b": "2", "c": "3"})
    times = {"a": 1_000_000_001, "b": 1_500_000_000, "c": 0}
    for name, seconds in times.items():
        os.utime(context / name, (seconds, seconds))
    options = ["--timestamps=preserve"] if preserve else []

    first = run("build", "-q", "-t", "app:v1", *options, context, env={"SOURCE_DATE_EPOCH": epoch}).stdout
    run("export", "app:v1", "-o", tmp_path / "out")
    again = run("build", "-q", "-t", "x:1", *options, "--no-cache", context, env={"SOURCE_DATE_EPOCH": epoch}).stdout

    found = {name: int((tmp_path / "out" / name).stat().st_mtime) for name in times}
    assert found == (times if preserve else dict.fromkeys(times, int(epoch or 0)))
    assert first == again
    created = json.loads(run("inspect", "app:v1", "--format=json").stdout).get("created")
    assert (created is None) == (epoch is None)


def test_only_the_times_decide_whether_preserving_builds_hit(run: Run, make_context: MakeContext) -> None:
    context = make_context({"Kubefile": "FROM scratch\nCOPY a .\n", "a": "1"})
    ids = []
    for seconds in (1_000, 1_001, 1_000):
        os.utime(context / "a", (seconds, seconds))
        ids.append(run("build", "-q", "-t", "x:1", "--timestamps=preserve", context).stdout)
    plain = []
    for seconds in (1_000, 1_001, 1_002):
        os.utime(context / "a", (seconds, seconds))
        plain.append(run("build", "-q", "-t", "x:1", context).stdout)

    assert ids[0] == ids[2] != ids[1]
    assert len({*plain}) == 1
