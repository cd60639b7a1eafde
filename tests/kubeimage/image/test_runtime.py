import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.image.runtime import EMPTY, Healthcheck, RuntimeConfig, overlay, overlay_all

texts = st.text(max_size=6)
lists = st.lists(texts, max_size=3).map(tuple)
keys = st.text("ABC_", min_size=1, max_size=3)
sets = st.sets(texts, max_size=3).map(lambda found: tuple(sorted(found)))
configs = st.builds(
    RuntimeConfig,
    entrypoint=lists,
    cmd=lists,
    env=st.dictionaries(keys, texts, max_size=3).map(lambda found: tuple(found.items())),
    user=texts,
    working_dir=texts,
    exposed_ports=sets,
    volumes=sets,
    stop_signal=texts,
    shell=lists,
    on_build=lists,
    healthcheck=st.none()
    | st.builds(Healthcheck, st.just(("CMD", "true")), st.integers(0, 9), retries=st.integers(0, 9)),
)


@given(configs)
def test_a_config_reads_back(config: RuntimeConfig) -> None:
    assert RuntimeConfig.from_json(config.to_json({"a": "b"})) == config


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "x",
        {"Cmd": "sh", "Env": None, "User": 0, "ExposedPorts": [], "Volumes": 1, "Healthcheck": {"Test": 1}},
    ],
)
def test_what_another_tool_wrote_otherwise_counts_as_absent(value: object) -> None:
    assert RuntimeConfig.from_json(value) == EMPTY


def test_an_empty_config_is_an_empty_object() -> None:
    assert EMPTY.to_json({}) == {}


def test_sealos_takes_every_element_but_the_shell_for_a_command() -> None:
    config = RuntimeConfig(entrypoint=("/bin/sh", "-c", "init"), cmd=("/bin/sh", "-c", "echo  a", "b"))

    assert config.cluster_commands == ("init", "echo  a", "b")


@given(configs, configs, configs)
def test_laying_configs_over_each_other_is_associative(
    first: RuntimeConfig, second: RuntimeConfig, third: RuntimeConfig
) -> None:
    together = overlay_all([overlay_all([first, second]), third])

    assert together == overlay_all([first, second, third])
    assert overlay_all([first, EMPTY]) == overlay_all([first])


def test_a_variable_that_is_known_keeps_its_place() -> None:
    assert overlay((("PATH", "/bin"), ("A", "1")), [("B", "2"), ("PATH", "/x")]) == (
        ("PATH", "/x"),
        ("A", "1"),
        ("B", "2"),
    )
