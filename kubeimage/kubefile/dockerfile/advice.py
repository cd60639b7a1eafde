"""Advice on what is valid in the dialect sealos, and is not what sealos would run.

Source: sealos at beea1e56, pkg/guest/guest.go and pkg/apply/processor/interface.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kubeimage.errors import Diagnostic
from kubeimage.kubefile.codes import Advice
from kubeimage.kubefile.dockerfile.words import WordError, expand_word
from kubeimage.kubefile.instructions import Cmd, Configure, Kubefile
from kubeimage.kubefile.statement import quoted

_OPTIONS = ("-c", "-ec", "-lc")


def about_sealos(kubefile: Kubefile) -> Iterator[Diagnostic]:
    """Yield advice on commands and variables, in the order of the file."""
    for one in kubefile.instructions:
        match one:
            case Cmd():
                yield from _about_command(one, one.commands, is_text=one.is_text)
            case Configure(keyword="ENTRYPOINT"):
                yield from _about_command(one, one.words, is_text=one.is_text)
            case Configure(keyword="ENV"):
                yield from _about_variables(one, kubefile.escape)


def _about_command(one: Cmd | Configure, words: Sequence[str], *, is_text: bool) -> Iterator[Diagnostic]:
    if is_text and words[0].startswith("["):
        message = f"{one.keyword} {quoted(words[0])} is no JSON array, so all of it is text for the shell"
        yield _advise(Advice.BROKEN_ARRAY, one, message, f'as in: {one.keyword} ["kubectl apply -f a.yaml"]')
    if not is_text and len(words) > 1 and words[1].startswith("-"):
        message = f"sealos runs each element as a command of its own; these look like the {len(words)} words of one"
        kept = " ".join(word for word in words[1:] if word not in _OPTIONS)
        yield _advise(Advice.ARGV_ARRAY, one, message, f"write it as one: {one.keyword} [{quoted(kept[:60])}]")


def _about_variables(one: Configure, escape: str) -> Iterator[Diagnostic]:
    for key, word in zip(one.words[::2], one.words[1::2], strict=True):
        try:
            value = expand_word(word, {}, escape)
        except WordError:
            continue
        if '"' in value:
            message = f"the value of {quoted(key)} holds a double quote, and sealos puts it between two as it is"
            yield _advise(Advice.QUOTE_IN_VALUE, one, message, "use single quotes inside the value")


def _advise(advice: Advice, one: Cmd | Configure, message: str, hint: str) -> Diagnostic:
    return Diagnostic(advice.code, message, one.span.location, hint, "warning")
