"""A system that fails: the n-th call, a killed process, processes that take turns."""
