"""What the executor asks of the world: one small Protocol a file, and the values that it passes.

Real parts live in kubeimage, in-memory ones in harness.fakes; both pass the same contract tests (harness.contracts).
"""
