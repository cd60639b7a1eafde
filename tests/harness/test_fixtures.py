"""The fixtures, as an image author uses them."""

import pytest

from tests.harness.conftest import Run, WriteProject

APP = {
    "app/Kubefile": "FROM scratch\nARG VERSION=1\nCOPY a.txt etc\nCMD run ${VERSION}\n",
    "app/a.txt": "hello\n",
}


def author(body: str, name: str = "test_it.py") -> dict[str, str]:
    return {name: "import pytest\n" + body}


def test_fixtures_are_listed_with_what_they_are(run: Run) -> None:
    result = run("--fixtures", "-q")

    for name in (
        "kubefile",
        "built_image",
        "kube_build",
        "kube_context",
        "layer_store",
        "image_store",
        "build_cache",
        "fake_mounts",
        "fake_runner",
        "fake_registry",
        "kube_fs",
        "io_faults",
    ):
        result.stdout.re_match_lines([rf"{name}\b.* -- .*fixtures\.py:\d+", r"    [A-Z].*[.>,]$"])
    result.stdout.no_fnmatch_line("*_kubefile_case*")


def test_a_test_in_the_projects_folder_needs_no_option(project: WriteProject, run: Run) -> None:
    project(
        {
            **APP,
            **author(
                "def test_it(kubefile, built_image):\n"
                "    assert kubefile.commands == ('run ${VERSION}',)\n"
                "    assert built_image.rootfs == {'etc/a.txt': 'hello\\n'}\n",
                "app/tests/test_it.py",
            ),
        }
    )

    result = run("-v")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["app/tests/test_it.py::test_it* PASSED*"])


def test_the_marker_names_the_kubefile_and_how_to_build_it(project: WriteProject, run: Run) -> None:
    project(
        {
            **APP,
            "files/b.txt": "b",
            "Kubefile.other": "ARG BASE\nFROM ${BASE}\nARG NAME\nCOPY ${NAME} ${ARCH}\n",
            **author(
                "@pytest.mark.kubefile('Kubefile.other', context='files', platform='linux/riscv64',\n"
                "    build_args={'NAME': 'b.txt', 'BASE': 'x:1'}, base={'x:1': 'app'})\n"
                "def test_it(built_image):\n"
                "    assert built_image.rootfs == {'etc/a.txt': 'hello\\n', 'riscv64/b.txt': 'b'}\n"
                "    assert str(built_image.platform) == 'linux/riscv64'\n"
                "    assert built_image.args == {'BASE': 'x:1', 'NAME': 'b.txt', 'VERSION': '1'}\n"
            ),
        }
    )

    run().assert_outcomes(passed=1)


def test_a_test_runs_for_each_kubefile_of_its_marker_or_of_the_run(project: WriteProject, run: Run) -> None:
    project(
        {
            **APP,
            "lib/Kubefile": "FROM scratch\n",
            **author(
                "@pytest.mark.kubefile('app', 'lib')\n"
                "def test_marked(built_image): pass\n"
                "def test_plain(built_image): pass\n"
            ),
        }
    )

    result = run("--kubefile=lib", "--kubefile=app", "test_it.py", "-v", "-k", "test_")

    result.stdout.fnmatch_lines_random(
        [
            "test_it.py::test_marked[[]app/Kubefile[]] PASSED*",
            "test_it.py::test_marked[[]lib/Kubefile[]] PASSED*",
            "test_it.py::test_plain[[]app/Kubefile[]] PASSED*",
            "test_it.py::test_plain[[]lib/Kubefile[]] PASSED*",
        ]
    )


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        ("'nowhere'", "*no Kubefile at */nowhere*"),
        ("'app', contxt='app'", "*the marker kubefile takes context, build_args, platform, base, not 'contxt'*"),
        ("'app', context='nowhere'", "*no context at */nowhere*"),
    ],
    ids=["no file", "misspelt", "no context"],
)
def test_a_marker_that_cannot_be_followed_is_an_error(project: WriteProject, run: Run, mark: str, message: str) -> None:
    project({**APP, **author(f"@pytest.mark.kubefile({mark})\ndef test_it(built_image): pass\n")})

    result = run()

    assert result.ret != 0
    (result.stdout if "ERROR" in result.stdout.str() else result.stderr).fnmatch_lines([message])


def test_without_any_kubefile_the_fixture_says_how_to_name_one(project: WriteProject, run: Run) -> None:
    project(author("def test_it(built_image): pass"))

    result = run()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["which Kubefile? Put one beside the test *"])
    result.stdout.no_fnmatch_line("*harness/*")


def test_a_failed_build_fails_the_test_with_the_builders_message(project: WriteProject, run: Run) -> None:
    project({"Kubefile": "FROM scratch\nCOPY b.txt etc\n", **author("def test_it(built_image): pass")})

    result = run()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["error[[]E0302[]]: *", "  --> Kubefile:2:*", "2 | COPY b.txt etc"])
    result.stdout.no_fnmatch_line("*harness/*")


def test_the_image_goes_into_fixtures_of_any_scope_and_beside_generated_values(project: WriteProject, run: Run) -> None:
    project(
        {
            **APP,
            **author(
                "from hypothesis import given, settings, strategies as st\n"
                "@pytest.fixture(scope='module')\n"
                "def names(built_image): return sorted(built_image.rootfs)\n"
                "@pytest.mark.kubefile('app')\n"
                "def test_module(names): assert names == ['etc', 'etc/a.txt']\n"
                "@pytest.mark.kubefile('app')\n"
                "@settings(max_examples=3)\n"
                "@given(st.integers())\n"
                "def test_given(built_image, kube_build, kube_context, number):\n"
                "    context = kube_context({'n': str(number)})\n"
                "    image = kube_build('FROM scratch\\nCOPY n .', context)\n"
                "    assert image.rootfs == {'n': str(number)} and image.cache_hits == 0\n"
            ),
        }
    )

    run("-p", "no:cacheprovider").assert_outcomes(passed=2)


def test_failed_asserts_are_explained(project: WriteProject, run: Run) -> None:
    project(
        {
            **APP,
            **author(
                "pytestmark = pytest.mark.kubefile('app')\n"
                "def test_tree(built_image): assert built_image.rootfs == {'etc/a.txt': 'bye\\n'}\n"
                "def test_path(built_image): assert 'a.txt' in built_image.rootfs\n"
                "def test_image(built_image, kube_build): assert built_image == kube_build('FROM scratch')\n"
                "def test_layers(built_image): assert built_image.layers == built_image.layers * 2\n"
            ),
        }
    )

    result = run()

    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(
        [
            "E*~ etc/a.txt: expected 'bye*', found 'hello*' with mode 644; it is from line 3: COPY a.txt etc",
            "E*'a.txt' is not in the image's rootfs, which has 2 paths",
            "E*near it: etc/a.txt",
            "E*two images: * and *",
            "E*cmd: [[]'run ${VERSION}'], and [[][]]",
            "E*1 layer, and 2:",
            "E*+ layer 1: COPY a.txt etc (*",
        ]
    )


def test_kube_build_takes_texts_paths_and_trees(project: WriteProject, run: Run) -> None:
    project(
        {
            **APP,
            **author(
                "from pathlib import Path\n"
                "from harness.trees import File\n"
                "from kubeimage.kubefile import parse\n"
                "def test_it(kube_build, kube_context):\n"
                "    own = {'etc/a.txt': 'hello\\n'}\n"
                "    assert kube_build('app').rootfs == own\n"
                "    assert kube_build('app/Kubefile').rootfs == own\n"
                "    assert kube_build(Path('app')).rootfs == own\n"
                "    other = kube_build('app/Kubefile', {'a.txt': File('x', 0o600)})\n"
                "    assert other.rootfs['etc/a.txt'].mode == 0o600\n"
                "    assert kube_build('FROM scratch\\nCOPY . .').rootfs == {}\n"
                "    assert kube_build(parse('FROM scratch\\nCOPY b .'), kube_context({'b': ''})).rootfs == {'b': ''}\n"
            ),
        }
    )

    run("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_kube_build_builds_on_images_and_trees(project: WriteProject, run: Run) -> None:
    project(
        author(
            "def test_it(kube_build):\n"
            "    one = kube_build('FROM scratch\\nARG A=1\\nCOPY a .\\nCMD x', {'a': '1'}, labels={'l': '1'})\n"
            "    two = kube_build('FROM whatever\\nCOPY b .\\nCMD y', {'b': '2'}, base=one)\n"
            "    assert two.rootfs == {'a': '1', 'b': '2'}\n"
            "    assert (two.cmd, two.args, two.labels) == (['x', 'y'], {'A': '1'}, {'l': '1'})\n"
            "    assert two.layers[0] == one.layers[0]\n"
            "    assert [layer.line for layer in two.layers] == [None, 2]\n"
            "    on_tree = kube_build('FROM base\\nCOPY b .', {'b': '2'}, base={'etc/x': 'y'})\n"
            "    assert on_tree.rootfs == {'b': '2', 'etc/x': 'y'}\n"
            "    assert kube_build('FROM base', base={}).rootfs == {}\n"
            "    alone = kube_build('FROM base\\nCOPY b .', {'b': '2'}, base=one, keep_base=False)\n"
            "    assert (alone.rootfs == {'b': '2'}, alone.cmd) == (True, [])\n"
        )
    )

    run("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_kube_build_starts_without_a_cache_unless_it_goes_on(project: WriteProject, run: Run) -> None:
    project(
        author(
            "def test_it(kube_build):\n"
            "    text = 'FROM scratch\\nCOPY a .\\nCOPY b .'\n"
            "    first = kube_build(text, {'a': '1', 'b': '1'}, tag='app:v1')\n"
            "    assert kube_build(text, {'a': '1', 'b': '1'}).cache_hits == 0\n"
            "    again = kube_build(text, {'a': '1', 'b': '2'}, after=first)\n"
            "    assert (again.cache_hits, again.cache_misses) == (1, 1)\n"
            "    assert (again.why_missed(1), again.why_missed(2)) == (None, 'file b changed')\n"
            "    assert kube_build(text, {'a': '1', 'b': '1'}, after=first, use_cache=False).cache_hits == 0\n"
            "    on = kube_build('FROM app:v1\\nCOPY c .', {'c': ''}, after=again)\n"
            "    assert on.rootfs == {'a': '1', 'b': '1', 'c': ''}\n"
        )
    )

    run("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_kube_build_raises_the_builders_errors(project: WriteProject, run: Run) -> None:
    project(
        author(
            "from kubeimage.errors import KubefileError, SourceNotFoundError\n"
            "def test_it(kube_build):\n"
            "    with pytest.raises(KubefileError): kube_build('FORM scratch\\n')\n"
            "    with pytest.raises(SourceNotFoundError): kube_build('FROM scratch\\nCOPY a .')\n"
        )
    )

    run("-p", "no:cacheprovider").assert_outcomes(passed=1)


SLIPS = """
def test_source(kube_build): kube_build("FROM scratch\\nCOPY gone.txt etc", {"gone.text": ""})
def test_text(kube_build): kube_build("FORM scratch\\nCOPY a\\n")
def test_path(kube_build): kube_build("FROM scratch\\nCOPY a .", {"a": ""}).layer_of("b/a")
def test_content(kube_build): kube_build("FROM scratch\\nCOPY a b", {"a": ""}).rootfs["b"].read_text()
"""


def test_a_slip_in_a_test_is_told_at_its_own_line_and_not_deep_in_the_builder(project: WriteProject, run: Run) -> None:
    project(author(SLIPS))

    result, whole = run(), run("--full-trace", "-k", "test_source")

    result.stdout.fnmatch_lines(
        [
            ">*kube_build(*gone.txt*",
            "E *SourceNotFoundError: COPY source 'gone.txt' matches nothing in the build context *",
            "E *--> Kubefile:2:1",
            "E *2 | COPY gone.txt etc",
            "E *| ^*",
            "E *hint: did you mean 'gone.text'?",
            "test_it.py:3: SourceNotFoundError",
            "E *1 | FORM scratch",
            "E *2 | COPY a",
            "E *KeyError: 'b/a (did you mean a?)'",
            "E *IsADirectoryError: b is a directory in the image",
        ]
    )
    result.stdout.no_fnmatch_line("*harness/*")
    result.stdout.no_fnmatch_line("*kubeimage/*.py*")
    whole.stdout.fnmatch_lines(["*kubeimage/context/*.py*"])


def test_the_stores_are_empty_and_fit_each_other(project: WriteProject, run: Run) -> None:
    project(
        author(
            "from kubeimage.protocols.cachekey import CacheKey\n"
            "from kubeimage.image.config import Image\n"
            "from kubeimage.image.platform import Platform\n"
            "from kubeimage.layer.entry import file\n"
            "from kubeimage.protocols.cache import CachedStep\n"
            "def test_it(layer_store, image_store, build_cache, fake_mounts):\n"
            "    assert image_store.records() == []\n"
            "    stored = layer_store.put([file('a', b'1')])\n"
            "    key = CacheKey(None, (('kind', 'COPY'),))\n"
            "    build_cache.record(key, CachedStep(stored))\n"
            "    assert build_cache.lookup(key).layer.diff_id == stored.diff_id\n"
            "    image_store.put(Image(Platform.parse('linux/amd64')))\n"
            "    assert len(image_store.records()) == 1\n"
            "    with fake_mounts.mount([stored.diff_id]) as mount:\n"
            "        assert mount.changes() == []\n"
        )
    )

    run("-p", "no:cacheprovider").assert_outcomes(passed=1)
