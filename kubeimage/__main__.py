"""``python -m kubeimage``."""

from kubeimage.cli import main

if __name__ == "__main__":
    main()
