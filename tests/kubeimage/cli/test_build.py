import json
import os
import re
from pathlib import Path

import pytest

from kubeimage.image.compatibility import COMPATIBILITY
from tests.kubeimage.cli.conftest import MakeContext, Run

PROJECT = {"Kubefile": "FROM scratch\nARG V=1\nCOPY a${V} etc\nCMD run a\n", "a1": "one", "a2": "two"}
ID = re.compile(r"sha256:[0-9a-f]{64}\n")


def events(stderr: str) -> list[dict[str, object]]:
    """Read JSON progress."""
    return [json.loads(line) for line in stderr.splitlines()]


def left_behind(root: Path) -> list[str]:
    """Return the blobs, records and unfinished files of a store, if there is one."""
    folders = (root / "blobs/sha256", root / "ingest", root / "cache/keys", root / "snapshots")
    return [str(path) for folder in folders for path in folder.rglob("*")]


def test_a_build_prints_the_image_id_alone_and_tells_the_rest_on_standard_error(
    run: Run, make_context: MakeContext
) -> None:
    result = run("build", "-t", "app:v1", make_context(PROJECT))

    assert ID.fullmatch(result.stdout)
    digest = result.stderr.splitlines()[3].split()[0]
    # How long it took is another time another number.
    assert re.sub(r"[,;] \d+\.\d s(?=$| \()", "", result.stderr, flags=re.MULTILINE) == (
        "FROM scratch\n"
        "[1/3] ARG V=1\n"
        "[2/3] COPY a${V} etc\n"
        f"      {digest} 2.6 kB (never built before)\n"
        "[3/3] CMD run a\n"
        "0 cached, 1 done; 1 layer, 2.6 kB\n"
        "saved as registry.cn-qingdao.aliyuncs.com/sealer-io/app:v1\n"
    )


def test_the_second_build_is_all_hits_with_the_same_id(run: Run, make_context: MakeContext) -> None:
    context = make_context(PROJECT)
    first = run("build", "-t", "app:v1", context)

    second = run("build", "-t", "app:v1", "--progress=json", context)

    steps = [event for event in events(second.stderr) if event["event"] == "step_finished" and event["layer"]]
    assert second.stdout == first.stdout
    assert [step["cached"] for step in steps] == [True]
    assert events(second.stderr)[-1]["image_id"] == first.stdout.strip()


def test_without_the_cache_everything_is_done_again(run: Run, make_context: MakeContext) -> None:
    context = make_context(PROJECT)
    first = run("build", "-t", "app:v1", context)

    second = run("build", "-t", "app:v1", "--no-cache", context)

    assert second.stdout == first.stdout
    assert " (--no-cache)\n" in second.stderr


@pytest.mark.parametrize("option", ["-q", "--quiet", "--progress=quiet"])
def test_a_quiet_build_tells_nothing(option: str, run: Run, make_context: MakeContext) -> None:
    result = run(
        "build", option, "-t", "app:v1", make_context({**PROJECT, "Kubefile": 'FROM scratch\nCMD ["a","b"]\n'})
    )

    assert ID.fullmatch(result.stdout)
    assert result.stderr == ""


def test_options_reach_the_image(run: Run, make_context: MakeContext) -> None:
    options = ("--build-arg", "V", "--label", "team=a,b=c", "--platform", "linux/arm64", "-t", "b:v2", "-t", "c")
    run("build", *options, make_context(PROJECT), env={"V": "2", "SOURCE_DATE_EPOCH": "1700000000"})

    document = json.loads(run("inspect", "b:v2", "--format=json").stdout)

    spec = document["spec"]["image_config"]
    assert spec["args"]["current"] == {"V": "2"}
    assert spec["labels"] == {"team": "a,b=c"}
    assert (document["architecture"], document["created"]) == ("arm64", "2023-11-14T22:13:20Z")
    assert [image["name"] for image in json.loads(run("images", "--format=json").stdout)] == ["b:v2", "c:latest"]


def test_the_kubefile_option_starts_at_the_working_directory(
    run: Run, make_context: MakeContext, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    context = make_context({"Kubefile": "FROM nowhere:v1\n", "a": "1"})
    (tmp_path / "Other").write_text("FROM scratch\nCOPY a .\n")
    monkeypatch.chdir(tmp_path)

    result = run("build", "-t", "x", "-f", "Other", context)

    assert "COPY a ." in result.stderr


def test_advice_on_the_kubefile_is_shown_and_stops_nothing(run: Run, make_context: MakeContext) -> None:
    context = make_context({"Kubefile": 'FROM scratch\nCMD ["helm", "install"]\n'})

    assert run("build", "-t", "x", context).stderr.startswith("warning[W02]: ")
    assert run("plan", context).stderr.startswith("warning[W02]: ")


def test_the_id_is_written_into_a_file_whole(run: Run, make_context: MakeContext, tmp_path: Path) -> None:
    file = tmp_path / "id"
    file.write_text("old")
    link = tmp_path / "link"
    link.symlink_to("id")

    result = run("build", "-t", "x", "--iidfile", link, make_context(PROJECT))

    assert file.read_text() == result.stdout.strip()
    assert link.is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["context", "id", "link", "store"]


def test_the_id_can_go_to_a_pipe(run: Run, make_context: MakeContext, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    result = run("build", "-t", "x", "--iidfile", pipe, make_context(PROJECT))

    assert os.read(reader, 100).decode() == result.stdout.strip()
    os.close(reader)


def test_a_failed_build_leaves_the_id_file_alone(run: Run, make_context: MakeContext, tmp_path: Path) -> None:
    file = tmp_path / "id"
    file.write_text("old")

    run("build", "-t", "x", "--iidfile", file, make_context({"Kubefile": "FROM scratch\nCOPY a .\n"}), status=1)

    assert file.read_text() == "old"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-t", "App:v1"], r"E0103]: not an image reference: 'App:v1'"),
        (["--build-arg", "V"], r"E0102]: --build-arg V takes its value from the environment"),
        (["--build-arg", "W=1"], r"E0102]: .*W"),
        (["--label", "x"], r"E0101]: not a label: 'x'"),
        (["--platform", "linux/arm64,linux/arm64/v8"], r"E0101]: --platform names one platform twice"),
        (["--platform", "linux/amd64,"], r"E0105]: not a platform"),
        (["--platform", "a/b/c/d"], r"E0105]: not a platform"),
        (["--timeout", "0"], r"E0101]: invalid value for '--timeout'"),
        (["--iidfile", "/nowhere/id"], r"E0101]: --iidfile takes the path of a file, found no folder '/nowhere'"),
        (["--iidfile", "i" * 256], r"E0101]: --iidfile takes a file name of at most 255 bytes"),
        (["--iidfile", "/"], r"E0101]: --iidfile takes the path of a file, found a folder"),
        (["-f", "/nowhere"], r"E0101]: no Kubefile at '/nowhere'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_options_are_refused_before_any_work(
    options: list[str], message: str, run: Run, make_context: MakeContext, root: Path
) -> None:
    context = make_context(PROJECT)

    result = run("build", "-t", "x", *options, context, env={"V": None}, status=2)

    assert re.match(r"error\[" + message, result.stderr)
    assert (result.stdout, left_behind(root)) == ("", [])


def test_a_bad_epoch_is_refused_before_any_work(run: Run, make_context: MakeContext, root: Path) -> None:
    result = run("build", "-t", "x", make_context(PROJECT), env={"SOURCE_DATE_EPOCH": "today"}, status=2)

    assert result.stderr.startswith("error[E0101]: SOURCE_DATE_EPOCH is no time: 'today'\n")
    assert not root.exists()


BAD_KUBEFILES = {
    "second FROM": ("FROM scratch\nFROM scratch\n", 2, "E0205"),
    "empty": ("", 2, "E0204"),
    "COPY of one name": ("FROM scratch\nCOPY a\n", 2, "E0203"),
    "line of a mebibyte": ("FROM scratch\nCOPY " + "a" * 2**20 + " b\n", 1, "E0302"),
    "word of a mebibyte": ("FROM scratch\n" + "A" * 2**20 + "\n", 2, "E0201"),
    "NUL": ("FROM scratch\nCOPY a\0b .\n", 2, "E0241"),
    "no such base": ("FROM nowhere:v1\nCOPY a .\n", 1, "E0402"),
    "no such source": ("FROM scratch\nCOPY nothing .\n", 1, "E0302"),
    "129 layers": ("FROM scratch\n" + "COPY a .\n" * 129, 2, "E0401"),
}


@pytest.mark.parametrize("command", ["build", "plan"])
@pytest.mark.parametrize(("text", "status", "code"), BAD_KUBEFILES.values(), ids=BAD_KUBEFILES)
def test_a_bad_kubefile_is_one_clear_message_and_nothing_is_left_behind(
    text: str, status: int, code: str, command: str, run: Run, make_context: MakeContext, root: Path
) -> None:
    context = make_context({"Kubefile": text, "a": "1"})

    result = run(command, "-t", "x:v1", "--pull=never", context, status=status)

    errors = [line for line in result.stderr.splitlines() if line.startswith("error[")]
    assert [line[6:11] for line in errors] == [code]
    assert len(result.stderr) < 4000
    assert (result.stdout, left_behind(root)) == ("", [])


def test_a_missing_context_and_a_folder_as_kubefile_are_wrong_usage(
    run: Run, make_context: MakeContext, root: Path, tmp_path: Path
) -> None:
    context = make_context(PROJECT)

    missing = run("build", "-t", "x", tmp_path / "nowhere", status=2)
    missing_with_file = run("build", "-t", "x", "-f", context / "Kubefile", tmp_path / "nowhere", status=2)
    file = run("build", "-t", "x", context / "Kubefile", status=2)
    folder = run("build", "-t", "x", "-f", context, context, status=2)

    assert missing.stderr == f"error[E0301]: the build context '{tmp_path}/nowhere' does not exist\n"
    assert missing_with_file.stderr == missing.stderr
    assert file.stderr.splitlines() == [
        f"error[E0301]: the build context '{context}/Kubefile' is a file, not a folder",
        f"hint: if it is the Kubefile: -f {context}/Kubefile {context}",
    ]
    assert folder.stderr.startswith(f"error[E0101]: '{context}' is a folder, not a Kubefile\n")
    assert not root.exists()


def test_a_root_that_cannot_be_written_is_one_clear_message(
    run: Run, make_context: MakeContext, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    context = make_context(PROJECT)

    result = run("build", "-t", "x", "--root", tmp_path / "file/store", context, status=1)

    assert result.stderr.splitlines()[0].startswith("error[E0502]: ")
    assert f"{tmp_path}/file/store" in result.stderr
    assert (tmp_path / "file").read_text() == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_root_without_permission_is_one_clear_message(run: Run, make_context: MakeContext, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)

    result = run("build", "-t", "x", "--root", tmp_path / "closed/store", make_context(PROJECT), status=1)

    assert result.stderr.startswith("error[E0502]: ")


def test_a_plan_says_what_would_hit_and_why_the_rest_would_not(run: Run, make_context: MakeContext, root: Path) -> None:
    files = {"Kubefile": "FROM scratch\nCOPY a .\nCOPY d etc\nCMD x\n", "a": "1", "d/1": "", "d/2": "", "d/3": ""}
    run("build", "-q", "-t", "app", make_context(files))
    context = make_context({"d/2": "changed"})

    result = run("plan", context)

    rows = [re.split(" {2,}", re.sub("[0-9a-f]{12}", "DIGEST", line)) for line in result.stdout.splitlines()]
    assert rows == [
        ["STEP", "OUTCOME", "INSTRUCTION", "LAYER", "DETAIL"],
        ["1", "hit", "COPY a .", "DIGEST 2.0 kB", "1 path: a"],
        ["2", "run", "COPY d etc", "file etc/d/2 changed; 4 paths: etc/d, etc/d/1, etc/d/2, …"],
        ["3", "note", "CMD x"],
    ]


def test_a_plan_in_json_names_every_path(run: Run, make_context: MakeContext, root: Path) -> None:
    files = {"Kubefile": "FROM scratch\nCOPY d etc\nRUN true\n", **{f"d/{number}": "" for number in range(9)}}

    steps = json.loads(run("plan", "--format=json", "-t", "x", make_context(files)).stdout)

    assert [(step["step"], step["line"], step["outcome"], step["why_missed"], step["layer"]) for step in steps] == [
        (1, 2, "run", "never built before", None),
        (2, 3, "run", "an earlier step misses", None),
    ]
    assert {step["compatibility"] for step in steps} == {COMPATIBILITY}
    assert steps[0]["paths"] == ["etc/d", *(f"etc/d/{number}" for number in range(9))]
    assert not root.exists()
