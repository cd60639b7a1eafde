"""The options about images that others may have built, and what a run was asked for with them.

A project may have an option ``--oci-image`` of its own. Pytest refuses to start where a name is taken twice. So these
options are added when the project's conftest files are known, and only those whose names are free. What is not added
has its ini setting all the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from harness.asking.options import Option
from harness.asking.settings import RawSettings

_MANY = {"action": "append"}
_NOBODY: object = object()

IMAGE_OPTIONS = (
    Option(
        "--oci-image",
        "check this image: NAME (in the store), oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME], "
        "docker://HOST/NAME or docker-daemon:NAME. Without any test path, nothing else is collected. May be repeated",
        "linelist",
        {**_MANY, "metavar": "REF"},
    ),
    Option(
        "--oci-image-platform",
        "of an image for several platforms, take this one, as in linux/arm64; without it, this machine's",
        extra={"metavar": "OS/ARCH"},
    ),
    Option(
        "--oci-image-insecure",
        "a registry that need not prove who it is; http://HOST for one without TLS. May be repeated",
        "linelist",
        {**_MANY, "metavar": "HOST"},
    ),
    Option(
        "--oci-image-max-layers",
        "let the check layer-limit fail above this number of layers; without it, above 128",
        "int",
        {"metavar": "N"},
    ),
    Option(
        "--oci-image-max-size",
        "let the check size-limit fail above this size of all layers together, as in 200MB or 1.5GiB",
        extra={"metavar": "SIZE"},
    ),
    Option(
        "--oci-image-min-efficiency",
        "let the check efficiency fail below this part, as in 0.95; without it, below 0.9. It is measured as dive does",
        "float",
        {"metavar": "PART"},
    ),
    Option(
        "--oci-image-allow-secret",
        "let the check no-secrets be silent about files whose path this glob matches, or whose RULE:PATH. May be "
        "repeated",
        "linelist",
        {**_MANY, "metavar": "GLOB"},
    ),
    Option(
        "--oci-image-skip",
        "leave out this check of images. May be repeated",
        "linelist",
        {**_MANY, "metavar": "CHECK"},
    ),
    Option(
        "--dive-ci",
        "check the images by the rules in this file of dive's: lowestEfficiency, highestWastedBytes and "
        "highestUserWastedPercent",
        extra={"metavar": "FILE"},
    ),
    Option(
        "--cst",
        "test the images by this file of container-structure-test's, in YAML or JSON; each of its tests is an item. "
        "May be repeated",
        "linelist",
        {**_MANY, "metavar": "FILE"},
    ),
    Option(
        "--cst-network",
        "let the commands of --cst reach the network, as Docker does",
        "bool",
        {"action": "store_true"},
    ),
    Option(
        "--image-build",
        "run this builder's command twice, under other times, orders, users and paths, and check that it gives one "
        "image. {out} in it becomes the path of an archive or a folder. May be repeated",
        "linelist",
        {**_MANY, "metavar": "COMMAND"},
    ),
    Option(
        "--image-build-context",
        "the folder that --image-build's commands build from, of which each gets a copy to start in; without it, the "
        "one where pytest was started",
        extra={"metavar": "DIR"},
    ),
)


def destination(option: Option) -> str:
    """Return where pytest keeps an option's value: a name that no project has."""
    return f"kubeimage_{option.name}"


def add_free_options(config: pytest.Config, parser: pytest.Parser, options: tuple[Option, ...]) -> list[str]:
    """Add the options whose names are free now, and the settings; return the flags that somebody else has."""
    taken = []
    group = parser.getgroup("oci-image", "any image")
    for option in options:
        if config.getoption(option.flag, _NOBODY) is not _NOBODY:
            taken.append(option.flag)
        else:
            group.addoption(option.flag, default=None, dest=destination(option), help=option.help, **option.extra)
        if not _has_setting(config, option.name):
            parser.addini(option.name, f"the same as {option.flag}", type=option.known_ini_type, default=None)
    return taken


def _has_setting(config: pytest.Config, name: str) -> bool:
    try:
        config.getini(name)
    except ValueError:
        return False
    except (TypeError, pytest.UsageError):
        return True
    return True


@dataclass(frozen=True)
class ImageSettings:
    """What a run was asked for about images.

    Shape: ``images`` are names. ``only`` says that nothing else is to be collected. ``allowed_secrets`` are globs.
           ``dive_ci``, ``cst`` and ``build_context`` are paths.
    Units: ``max_size`` in bytes; ``min_efficiency`` from 0 to 1.
    """

    images: tuple[str, ...] = ()
    only: bool = False
    platform: str | None = None
    insecure: tuple[str, ...] = ()
    max_layers: int | None = None
    max_size: int | None = None
    min_efficiency: float | None = None
    allowed_secrets: tuple[str, ...] = ()
    skip: frozenset[str] = frozenset()
    dive_ci: str | None = field(default=None)
    cst: tuple[str, ...] = ()
    cst_network: bool = False
    builds: tuple[str, ...] = ()
    builds_only: bool = False
    build_context: str | None = None


def _placed(text: str, raw: RawSettings) -> str:
    """Return the name of an image whose path can be followed from here."""
    transport, colon, rest = text.partition(":")
    if colon and transport in ("oci", "oci-archive", "docker-archive"):
        return f"{transport}:{raw.place('oci_image', rest)}"
    return text


def read_image_settings(config: pytest.Config) -> ImageSettings:
    """Read options and settings.

    Raises: pytest.UsageError that says which option is wrong, and what to do.
    """
    raw = RawSettings(config, prefix="kubeimage_")
    return ImageSettings(
        images=tuple(_placed(text, raw) for text in raw.texts("oci_image")),
        only=raw.is_given("oci_image") and config.args_source is not pytest.Config.ArgsSource.ARGS,
        platform=raw.text("oci_image_platform"),
        insecure=tuple(raw.texts("oci_image_insecure")),
        max_layers=raw.count("oci_image_max_layers"),
        max_size=raw.size("oci_image_max_size"),
        min_efficiency=raw.part("oci_image_min_efficiency"),
        allowed_secrets=tuple(raw.texts("oci_image_allow_secret")),
        skip=frozenset(raw.texts("oci_image_skip")),
        dive_ci=raw.path("dive_ci"),
        cst=tuple(raw.place("cst", text) for text in raw.texts("cst")),
        cst_network=bool(raw.value("cst_network")),
        builds=tuple(raw.texts("image_build")),
        builds_only=raw.is_given("image_build") and config.args_source is not pytest.Config.ArgsSource.ARGS,
        build_context=raw.folder("image_build_context"),
    )
