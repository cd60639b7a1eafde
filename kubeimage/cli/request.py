"""What ``build`` and ``plan`` are asked for: their options, and what these mean to the API."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal

import click

from kubeimage.cli.parsing import (
    EPOCH_VARIABLE,
    parse_build_args,
    parse_epoch,
    parse_keep_failed,
    parse_labels,
    parse_platforms,
    referrers_of,
    size_of,
)
from kubeimage.cli.searching import SearchRequest, search_options
from kubeimage.cli.session import Session, common_options
from kubeimage.errors import ContextNotFoundError
from kubeimage.values import dataclass

if TYPE_CHECKING:
    from kubeimage.api.sharing import SharedCache
    from kubeimage.builder.plan import BuildOptions
    from kubeimage.discovery.search import Guesses, PullImages
    from kubeimage.image.compatibility import Dialect
    from kubeimage.image.platform import Platform
    from kubeimage.image.referrers import ReferrerChoice
    from kubeimage.kubefile import Kubefile
    from kubeimage.lock.lockfile import Lock
    from kubeimage.settings import RunSettings, Settings


@dataclass(frozen=True)
class BuildRequest:
    """The options and arguments, as they were typed."""

    tags: tuple[str, ...]
    file: str | None
    dialect: Dialect | None
    build_args: tuple[str, ...]
    labels: tuple[str, ...]
    platform: str | None
    target: str | None
    no_cache: bool
    no_stat_index: bool
    no_base: bool
    mount: str
    isolation: str
    network: str | None
    run_paths: tuple[str, ...]
    memory: int | None
    pids: int | None
    tmp_size: int | None
    timestamps: str
    timeout: float | None
    keep_failed: str | None
    progress: str
    quiet: bool
    iidfile: str | None
    pull: Literal["missing", "always", "never"]
    insecure: tuple[str, ...]
    secrets: tuple[str, ...]
    cache_from: tuple[str, ...]
    cache_to: tuple[str, ...]
    cache_key: str | None
    cache_trust: tuple[str, ...]
    pull_images: PullImages
    referrers: ReferrerChoice | None
    discover: tuple[str, ...]
    ignored_images: tuple[str, ...]
    added_images: tuple[str, ...]
    ignored_charts: tuple[str, ...]
    values: tuple[str, ...]
    guesses: Guesses
    namespace: str | None
    kube_version: str | None
    api_versions: tuple[str, ...]
    locked: bool
    context: str

    def options(self, environment: Mapping[str, str], settings: Settings) -> BuildOptions:
        """Return what the API takes.

        Raises: UsageError for the first option that cannot be followed.
        """
        from kubeimage.api.finding import parse_name
        from kubeimage.api.secrets import read_secrets
        from kubeimage.builder.plan import BuildOptions

        naming = settings.naming
        return BuildOptions(
            references=tuple(parse_name(tag, naming, what="--tag") for tag in self.tags),
            build_args=parse_build_args(self.build_args, environment),
            labels=parse_labels(self.labels),
            platform=next(iter(self.platforms()), None),
            use_cache=not self.no_cache,
            keep_base=not self.no_base,
            network=self.run(settings).network != "none",
            timestamps="preserve" if self.timestamps == "preserve" else "epoch",
            epoch=parse_epoch(environment.get(EPOCH_VARIABLE)),
            timeout=self.timeout,
            keep_failed=parse_keep_failed(self.keep_failed),
            pull=self.pull,
            secrets=read_secrets(self.secrets, environment),
            naming=naming,
            stage=self.target,
            pull_images=self.pull_images,
            referrers=self.referrers,
            search=self._search_request.search(self.context, settings.read_image_kinds()),
            lock=self._read_lock(),
        )

    def shared_cache(self) -> SharedCache:
        """Return where steps are looked for and written to, beside this machine."""
        from kubeimage.api.sharing import SharedCache

        return SharedCache(self.cache_from, self.cache_to, self.cache_key, self.cache_trust)

    def _read_lock(self) -> Lock | None:
        if not self.locked:
            return None
        from kubeimage.api.locking import find_lock, read_lock

        return read_lock(find_lock(self.kubefile_path()))

    def run(self, settings: Settings) -> RunSettings:
        """Return how a RUN is run: as was asked for, else as the settings say."""
        return settings.run.but(
            network=self.network, paths=self.run_paths, memory=self.memory, pids=self.pids, tmp_size=self.tmp_size
        )

    @property
    def _search_request(self) -> SearchRequest:
        return SearchRequest(
            discover=self.discover,
            ignored_images=self.ignored_images,
            added_images=self.added_images,
            ignored_charts=self.ignored_charts,
            values=self.values,
            guesses=self.guesses,
            namespace=self.namespace,
            kube_version=self.kube_version,
            api_versions=self.api_versions,
        )

    def platforms(self) -> tuple[Platform, ...]:
        """Return the platforms to build for; none where nobody named one.

        Raises: PlatformFormatError; UsageError where one comes twice.
        """
        return parse_platforms(self.platform)

    def read_kubefile(self, preset: Dialect) -> Kubefile:
        """Return the Kubefile, parsed; ``preset`` is the dialect of one that does not say which it is in.

        Raises: ContextNotFoundError, UsageError, KubefileError.
        """
        from kubeimage.api.building import read_kubefile

        return read_kubefile(self.kubefile_path(), dialect=self.dialect, preset=preset)

    def kubefile_path(self) -> str:
        """Return the Kubefile's path: ``-f`` from here, or what the context holds.

        Raises: ContextNotFoundError, UsageError.
        """
        from kubeimage.api.building import find_kubefile

        if self.file is None:
            return find_kubefile(self.context)
        if not os.path.isdir(self.context):
            what = "is not a folder" if os.path.exists(self.context) else "does not exist"
            raise ContextNotFoundError(f"the build context {self.context!r} {what}")
        return self.file


_FIELDS = frozenset(BuildRequest.__match_args__)


def _choice(name: str, *choices: str, text: str) -> Callable[[Any], Any]:
    return click.option(name, type=click.Choice(choices), default=choices[0], show_default=True, help=text)


_progress = _choice(
    "--progress",
    "auto",
    "plain",
    "json",
    "quiet",
    text="How to tell what happens, on standard error; only plain and json keep what RUNs print.",
)
_quiet = click.option("-q", "--quiet", is_flag=True, help="The same as --progress=quiet.")


def progress_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add to a command ``--progress`` and ``-q``, as one argument ``progress``."""

    @wraps(function)
    def command(*arguments: Any, quiet: bool, progress: str, **values: Any) -> None:
        function(*arguments, progress="quiet" if quiet else progress, **values)

    decorated: Callable[..., None] = _progress(_quiet(command))
    return decorated


insecure_option = click.option(
    "--insecure",
    multiple=True,
    metavar="HOST",
    help="A registry that need not prove who it is; http://HOST for one without TLS. May be repeated.",
)


def referrers_option(default: str, *, of: str = "the image") -> Callable[[Any], Any]:
    """Return the option that says which artefacts travel; ``default`` is told in its help."""
    return click.option(
        "--referrers",
        metavar="none|all|TYPE[,...]",
        callback=referrers_of,
        help=f"What comes along of all that refers to {of}: signature, sbom, attestation or a type as "
        f"application/spdx+json; else as the configuration says, or {default}.",
    )


dialect_option = click.option(
    "--dialect",
    type=click.Choice(["sealer", "sealer-0.9", "sealos"]),
    help="The rules that the Kubefile is read by; else its line # syntax=, its name, the setting, or sealer.",
)


locked_option = click.option(
    "--locked",
    is_flag=True,
    help="Use nothing but what the lock beside the Kubefile says, and fail by name where something differs.",
)


_OF_THE_IMAGE: dict[str, Any] = {
    "tags": (),
    "labels": (),
    "no_base": False,
    "keep_failed": None,
    "iidfile": None,
    "locked": False,
    "cache_from": (),
    "cache_to": (),
    "cache_key": None,
    "cache_trust": (),
}
"""What only an image's build is asked for, and what a command without these options takes them to be."""


def takes_build_request(
    *, tag_required: bool = False, makes_image: bool = True
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add to a command the options of a build, gathered into a BuildRequest; its other options stay as they are.

    One that makes no image has none of those that are about the image, looks into the current folder where nobody
    names another, and asks all registries.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        @click.pass_obj
        def command(session: Session, /, **values: Any) -> Any:
            own = {name: values.pop(name) for name in values.keys() - _FIELDS}
            given = values if makes_image else {**_OF_THE_IMAGE, **values}
            return function(session, BuildRequest(**given), **own)

        decorated: Callable[..., Any] = common_options(command)
        for option in reversed(_options(tag_required=tag_required, makes_image=makes_image)):
            decorated = option(decorated)
        if not makes_image:
            taken = decorated.__click_params__  # type: ignore[attr-defined]  # click keeps them there
            taken[:] = [one for one in taken if one.name not in _OF_THE_IMAGE]
        return decorated

    return decorate


def _finite(_context: click.Context, _parameter: click.Parameter, value: float | None) -> float | None:
    if value is not None and not (value > 0 and math.isfinite(value)):
        raise click.BadParameter(f"{value:g} is not a number of seconds above 0")
    return value


def _run_options() -> list[Callable[[Any], Any]]:
    return [
        click.option(
            "--network", type=click.Choice(["host", "private", "none"]), help="The network of a RUN; else host."
        ),
        click.option(
            "--run-path",
            "run_paths",
            multiple=True,
            metavar="DIR",
            help="A place of this machine that a RUN sees too, read-only; may be repeated.",
        ),
        click.option(
            "--memory", metavar="SIZE", callback=size_of, help="Memory of a RUN's processes together, as in 2GiB."
        ),
        click.option(
            "--pids", type=click.IntRange(1), metavar="N", help="How many processes and threads a RUN may have."
        ),
        click.option(
            "--tmp-size", metavar="SIZE", callback=size_of, help="How much /tmp of a RUN may hold, as in 1GiB."
        ),
    ]


def _sharing_options() -> list[Callable[[Any], Any]]:
    return [
        click.option(
            "--cache-from",
            multiple=True,
            metavar="REF",
            help="A cache to look steps up in: HOST/REPOSITORY or oci:DIR. May be repeated; they are asked in order.",
        ),
        click.option(
            "--cache-to", multiple=True, metavar="REF", help="A cache to write each step to, as it is done; repeatable."
        ),
        click.option("--cache-key", metavar="FILE", help="The private key (PEM) to sign what is written with."),
        click.option(
            "--cache-trust",
            multiple=True,
            metavar="FILE",
            help="A public key (PEM): only what it, or another one named so, has signed is believed.",
        ),
    ]


def _project_options(*, tag_required: bool) -> list[Callable[[Any], Any]]:
    return [
        click.option(
            "-t", "--tag", "tags", multiple=True, required=tag_required, metavar="NAME", help="A name; may be repeated."
        ),
        click.option(
            "-f",
            "--file",
            metavar="FILE",
            help="The Kubefile; else CONTEXT's Kubefile, kubefile, Sealfile, Dockerfile or Containerfile.",
        ),
        dialect_option,
        click.option(
            "--build-arg",
            "build_args",
            multiple=True,
            metavar="KEY[=VALUE]",
            help="An ARG's value, or a bare key to take it from the environment; may be repeated.",
        ),
        click.option(
            "--secret",
            "secrets",
            multiple=True,
            metavar="id=ID,src=FILE|env=NAME",
            help="A secret that RUN --mount=type=secret is shown; may be repeated.",
        ),
        click.option(
            "--label", "labels", multiple=True, metavar="KEY=VALUE", help="A label for the image; may be repeated."
        ),
        click.option(
            "--platform",
            metavar="OS/ARCH[/VARIANT][,...]",
            help="What to build for; else this machine's. Several make one image index.",
        ),
        click.option(
            "--target", metavar="STAGE", help="The stage to build, by its name or its number; else the last one."
        ),
    ]


def _packing_option(*, makes_image: bool) -> Callable[[Any], Any]:
    policies = ["off", "missing", "always", "never"] if makes_image else ["always", "missing", "never"]
    return click.option(
        "--pull-images",
        type=click.Choice(policies),
        default=policies[0],
        show_default=True,
        envvar="KUBEIMAGE_PULL_IMAGES" if makes_image else None,
        help="Pack the container images that manifests and charts name: when their registries are asked, or off; "
        "also $KUBEIMAGE_PULL_IMAGES."
        if makes_image
        else "When registries are asked what the names of container images lead to.",
    )


def _context_argument(*, makes_image: bool) -> Callable[[Any], Any]:
    # To some versions of click a default of None is a value.
    if makes_image:
        return click.argument("context", metavar="CONTEXT")
    return click.argument("context", metavar="[CONTEXT]", default=".")


def _options(*, tag_required: bool, makes_image: bool) -> list[Callable[[Any], Any]]:
    return [
        *_project_options(tag_required=tag_required),
        click.option("--no-cache", is_flag=True, help="Look nothing up in the cache; still record."),
        click.option(
            "--no-stat-index",
            is_flag=True,
            help="Read all sources, also those that look as they did before.",
        ),
        click.option("--no-base", is_flag=True, help="Keep only the new layers, as an application image."),
        _choice("--mount", "auto", "overlay", "copy", text="How a RUN gets its root filesystem."),
        _choice("--isolation", "auto", "sandbox", "landlock", "none", text="What keeps a RUN away from this machine."),
        *_run_options(),
        _choice(
            "--timestamps", "epoch", "preserve", text="Times in layers: SOURCE_DATE_EPOCH or 0, or the files' own."
        ),
        click.option(
            "--timeout", type=float, metavar="SECONDS", callback=_finite, help="Stop a RUN that takes longer."
        ),
        click.option("--keep-failed", metavar="DIR", help="Copy the tree that a failed RUN left into DIR, to look at."),
        _progress,
        _quiet,
        click.option("--iidfile", metavar="FILE", help="Write the image id into this file."),
        locked_option,
        _choice("--pull", "missing", "always", "never", text="When the base image is fetched from its registry."),
        insecure_option,
        *_sharing_options(),
        _packing_option(makes_image=makes_image),
        referrers_option("none", of="packed images"),
        search_options,
        _context_argument(makes_image=makes_image),
    ]
