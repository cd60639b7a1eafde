"""``kubeimage``, and ``python -m kubeimage``: the program."""

import gc
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line of this process, and leave the process."""
    # Before anything is imported: the collector would walk what that makes, and the tuples of ten thousand files, again
    # and again, and find nothing.
    gc.set_threshold(50_000, 20, 20)
    from kubeimage.cli import main as run

    run()


if __name__ == "__main__":
    main()
