"""The page that lists every error: made from the classes, and from what to do about each.

python -m kubeimage.report.errorpage docs/errors.md
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from kubeimage import errors
from kubeimage.errors import KubeimageError
from kubeimage.report.generated import put_page

_HEAD = """\
# Errors

Made from the error classes by `python -m kubeimage.report.errorpage docs/errors.md`; change it there.

Each error shows its code, what is wrong, the place where there is one, and a hint: `error[E0402]: …`. The command line
ends with the exit status beside it: 2 for wrong usage and bad Kubefiles, 1 for all else. In Python each is a class of
`kubeimage`, below `KubeimageError`, with `message`, `hint`, `location` and `code`. An indented name is a kind of the
one above it. Mistakes in a Kubefile have codes of their own, E02xx, and advice has W01 and so on.

| code | class | exit status | what it means | the way out |
| --- | --- | --- | --- | --- |
"""

WAYS_OUT: dict[type[KubeimageError], str] = {
    errors.KubeimageError: "`kubeimage --debug …` shows where it came from; one that says it is a bug wants a report",
    errors.UsageError: "`kubeimage COMMAND --help` lists options and arguments",
    errors.BuildArgError: "declare it, `ARG KEY`, or give it a value, `--build-arg KEY=VALUE`",
    errors.ReferenceFormatError: "write it as `[HOST/]NAME[:TAG]`, in lower case",
    errors.DigestFormatError: "write it as `sha256:` and 64 characters of hex",
    errors.PlatformFormatError: "write it as `linux/amd64` or `linux/arm/v7`",
    errors.SettingsError: "mend the file that it names, or choose another with `--config FILE`",
    errors.KubefileError: "write what its hints say; `kubeimage lint` finds all of them",
    errors.ContextError: "mend the build context, or the COPY that it names",
    errors.ContextNotFoundError: "name a folder that is there as CONTEXT, and the Kubefile with `-f`",
    errors.SourceNotFoundError: "write the path from the context's root; `.kubeignore` may have left it out",
    errors.SourceEscapeError: "copy it into the context",
    errors.UnsupportedSourceError: "leave it out by a line in `.kubeignore`, or rename it",
    errors.UnreadableSourceError: "give yourself the right to read it, or leave it out by a line in `.kubeignore`",
    errors.ContextChangedError: "build again when nothing writes to the context",
    errors.DestinationError: "name a destination below a folder of the image",
    errors.AdditionError: "look at the address, the checksum or the archive",
    errors.BuildError: "see its kinds",
    errors.LayerLimitError: "copy several sources in one COPY, or join commands of several RUNs with `&&`",
    errors.BaseImageError: "build the base image, or fetch it: `kubeimage pull NAME`",
    errors.PlatformMismatchError: "name another `--platform`, or a base image for this one",
    errors.StoreError: "see its kinds",
    errors.ImageNotFoundError: "`kubeimage images` lists what is there",
    errors.StoreAccessError: "give yourself the right to write there, or choose another place with `--root DIR`",
    errors.StoreFullError: "make room where it says, or raise the limit; in a store `kubeimage prune` makes room",
    errors.StoreVersionError: "use the kubeimage that wrote the store, or a newer one",
    errors.BlobNotFoundError: "`kubeimage fsck --repair`, then build or fetch the image again",
    errors.BlobCorruptError: "`kubeimage fsck --repair`, then build or fetch the image again",
    errors.ImageFileError: "`kubeimage ls IMAGE` lists what is there",
    errors.LayerError: "see its kinds",
    errors.LayerFormatError: "get the image again from where it came",
    errors.PathEscapeError: "don't use the image: no honest tool makes such a layer",
    errors.LayerTooLargeError: "get the image from a source that you trust",
    errors.ArchiveError: "save the image again, with `kubeimage save`, skopeo or docker",
    errors.MountError: "`--mount=copy` needs no mount",
    errors.CommandError: "look at its output, and at what it left: `--keep-failed DIR`",
    errors.CommandTimeoutError: "give it more time: `--timeout SECONDS`",
    errors.StoppedError: "look at the other error, which is the one that is told",
    errors.UserUnavailableError: "do what the hint says, or name another user",
    errors.SandboxError: "do what the hint says, or `--isolation=none` where you trust the Kubefile",
    errors.RegistryError: "ask those who run the registry; the message has its own words",
    errors.RegistryConnectionError: "look at the name and the network; `--insecure HOST` where no certificate is known",
    errors.RegistryAuthError: "`kubeimage login HOST`",
    errors.RegistryNotFoundError: "look at the name and the tag",
    errors.RegistryContentError: "try again; if it stays, the registry or a proxy before it is broken",
    errors.CredentialsError: "mend the file, or install the helper that it names",
    errors.DiscoveryError: "mend the file that it names, or leave it out: `--ignore-image`, `--ignore-chart`",
    errors.ChartError: "`helm template` shows the same mistake; `--ignore-chart NAME` passes over the chart",
    errors.KubeVersionError: "mend the constraint in `Chart.yaml`, or the version that is asked for",
    errors.ImageNameError: "write the name that was meant, or leave it out: `--ignore-image TEXT`",
    errors.PackingError: "build again with `--pull-images missing`, the base image as well",
    errors.RehearsalError: "do what the hint says; `kubeimage verify` needs no network at all",
    errors.LockError: "see its kinds",
    errors.LockFileError: "make it: `kubeimage lock`",
    errors.LockStaleError: "`kubeimage lock` locks the project as it is, `kubeimage lock --update NAME` one name",
    errors.SignatureError: "look at what lies under the tag that the error names",
    errors.TrustError: "get a signed image; or change the rule that the error names: [signatures](signatures.md)",
}
"""What a person does about each."""


def error_page() -> str:
    """Return the whole page, as Markdown."""
    return _HEAD + "".join(f"| {' | '.join(row)} |\n" for row in _rows(KubeimageError, 0))


def error_classes(below: type[KubeimageError] = KubeimageError) -> Iterator[type[KubeimageError]]:
    """Return the classes of `kubeimage.errors` from ``below`` on, each before its kinds."""
    yield below
    kinds = [one for one in below.__subclasses__() if one.__module__ == errors.__name__]
    for kind in sorted(kinds, key=lambda one: one.code):
        yield from error_classes(kind)


def _rows(kind: type[KubeimageError], depth: int) -> Iterator[tuple[str, ...]]:
    meaning = (inspect.getdoc(kind) or "").partition("\n")[0].partition(";")[0].rstrip(".").replace("``", "`")
    code = "E02xx" if kind is errors.KubefileError else kind.code
    yield code, f"{'&emsp;' * depth}`{kind.__name__}`", str(kind.exit_status), meaning, WAYS_OUT[kind]
    for one in error_classes(kind):
        if one.__base__ is kind:
            yield from _rows(one, depth + 1)


if __name__ == "__main__":
    put_page(error_page())
