"""The programs that a command test runs: its setup, then its command, each on what those before it left.

A program's variables are the image's, those of the whole file, and the test's own. Texts with ``$NAME`` are filled in
as the program does it by its docker driver: in values of variables, and in the command and its arguments, but not in
the words of a setup. Teardown commands are not run: each test has an image of its own, which goes with it.

Source: container-structure-test, pkg/drivers/docker_driver.go, and what the program does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence

from harness.cst.golang import expand
from harness.cst.judge import patterns
from harness.cst.spec import CommandTest, Pair, RunOptions, Spec
from kubeimage.api.running import RunResult, Step

# What a program of root's may do in the sandbox without being given it.
_KEPT = {"CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID", "NET_BIND_SERVICE", "SETFCAP"}
_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.]*)\s*=\s*(.*?)\s*$")
_REFERENCE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?")


class BadEnvironmentError(ValueError):
    """Variables that no container can be given."""


def why_unavailable(options: RunOptions) -> str | None:
    """Return what a file asks of its containers that no program can have here, None where there is nothing."""
    capabilities = [name for name in options.capabilities if name.upper().removeprefix("CAP_") not in _KEPT]
    if options.privileged:
        return "containerRunOptions asks for a privileged container, and programs are walled off here"
    if capabilities:
        return f"containerRunOptions asks for the capability {capabilities[0]}, which no program has here"
    if options.bind_mounts:
        return f"containerRunOptions asks for the folder {options.bind_mounts[0]}, and no program sees this machine's"
    if options.tty:
        return "containerRunOptions asks for a terminal, and programs have none here"
    return None


def steps_of(
    test: CommandTest, spec: Spec, image: Mapping[str, str], host: Mapping[str, str], *, network: bool, timeout: float
) -> list[Step]:
    """Return the programs of a test, its setup first; ``image`` are the image's variables, ``host`` this machine's.

    Raises: BadEnvironmentError.
    """
    known = {**image, **_expanded(spec.global_env, image)}
    user = spec.options.user or None

    def step(command: Sequence[str], env: Mapping[str, str]) -> Step:
        return Step(command, env, user, network=network, timeout=timeout)

    setup_env = {**known, **_expanded(test.env, known)}
    steps = [step(command, setup_env) for command in test.setup]
    # Each setup is kept as an image, with its variables.
    at_last = setup_env if test.setup else known
    command = [expand(word, lambda name: at_last.get(name, "")) for word in test.command]
    given = _given(spec.options, host)
    own = given if given is not None else {pair.key: pair.value for pair in test.env}
    return [*steps, step(command, {**at_last, **own})]


def _expanded(pairs: Sequence[Pair], known: Mapping[str, str]) -> dict[str, str]:
    return {pair.key: expand(pair.value, lambda name: known.get(name, "")) for pair in pairs}


def _given(options: RunOptions, host: Mapping[str, str]) -> dict[str, str] | None:
    """Return the variables that the file takes from elsewhere, which stand for the test's own; None where it does not.

    Raises: BadEnvironmentError.
    """
    found: dict[str, str] = {}
    if options.env_file:
        # One that cannot be read is passed over.
        try:
            with open(options.env_file, encoding="utf-8") as file:
                found.update(read_env_file(file.read()))
        except (OSError, UnicodeDecodeError):
            pass
    for name in options.env_vars:
        if name not in host:
            raise BadEnvironmentError(f"the variable {name} of containerRunOptions is not set here")
        found[name] = host[name]
    return found or None


def read_env_file(text: str) -> dict[str, str]:
    """Return the variables of an env file: ``NAME=VALUE`` a line, quotes, comments, and ``$NAME`` of earlier lines."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        assignment = _ASSIGNMENT.match(line) if not line.lstrip().startswith("#") else None
        if assignment is None:
            continue
        name, value = assignment.groups()
        quote = value[:1]
        if quote in {"'", '"'} and value.find(quote, 1) > 0:
            value = value[1 : value.find(quote, 1)]
        else:
            value = re.split(r"\s+#", value)[0]
        if quote != "'":
            value = _REFERENCE.sub(lambda one: found.get(one[1], ""), value)
        found[name] = value
    return found


def faults_of_results(test: CommandTest, results: Sequence[RunResult]) -> Iterator[str]:
    """Yield what is wrong with how a test's programs went."""
    last = results[-1]
    is_setup = len(results) <= len(test.setup)
    if last.unstarted:
        what = "a setup command" if is_setup else "the command"
        yield f"{what} could not be started: {last.unstarted}"
        return
    if any(one.timed_out for one in results):
        yield "it took too long, and was stopped"
        return
    yield from patterns(test.expected_error, test.excluded_error, last.stderr_bytes, "the error output")
    yield from patterns(test.expected_output, test.excluded_output, last.stdout_bytes, "the output")
    status = last.status if last.status >= 0 else 128 - last.status
    if status != test.exit_code:
        yield f"it ended with exit code {status}, and not with {test.exit_code}"


def this_machine() -> Mapping[str, str]:
    """Return the variables that a file can ask for by name."""
    return os.environ
