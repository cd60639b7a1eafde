"""Coverage-guided search for inputs that break kubeimage: ``python -m harness.fuzz parser --time 60``.

    buffer ──Hypothesis's fuzz_one_input, a target's strategy──> case ──the target's check──> nothing, or a failure
    failure ──Hypothesis shrinks it──> the smallest case that still fails ──written as itself──> corpus/TARGET/crash-SHA

A corpus holds two kinds of files. ``seed-SHA`` is a buffer, which says what the strategies make of it: a start for the
next search, whose meaning changes with the strategies. ``crash-SHA`` is a case that failed once, written so that it
stays the same case whatever the strategies become.

Buffers are made by libFuzzer where atheris is installed, else by the search in `harness.fuzz.search`.
"""
