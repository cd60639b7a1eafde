"""Every error a caller can meet, with its code, and nothing else.

    KubeimageError                     code   exit status
    ├── UsageError                     E0101  2
    │   ├── BuildArgError              E0102  2
    │   ├── ReferenceFormatError       E0103  2
    │   ├── DigestFormatError          E0104  2
    │   ├── PlatformFormatError        E0105  2
    │   └── SettingsError              E0106  2   a configuration file that cannot be followed
    ├── KubefileError                  E02xx  2   one or many diagnostics, each with its place
    ├── ContextError                   E0300  1
    │   ├── ContextNotFoundError       E0301  2
    │   ├── SourceNotFoundError        E0302  1
    │   ├── SourceEscapeError          E0303  1
    │   ├── UnsupportedSourceError     E0304  1   sockets, devices, names that are not UTF-8 or reserved
    │   ├── UnreadableSourceError      E0305  1
    │   ├── ContextChangedError        E0306  1
    │   ├── DestinationError           E0307  1
    │   └── AdditionError              E0308  1   what ADD fetches or unpacks, and cannot
    ├── BuildError                     E0400  1
    │   ├── LayerLimitError            E0401  2
    │   ├── BaseImageError             E0402  1
    │   └── PlatformMismatchError      E0403  1
    ├── StoreError                     E0500  1
    │   ├── ImageNotFoundError         E0501  1
    │   ├── StoreAccessError           E0502  1   no permission, read-only, not a folder
    │   ├── StoreFullError             E0503  1
    │   ├── StoreVersionError          E0504  1
    │   ├── BlobNotFoundError          E0505  1
    │   ├── BlobCorruptError           E0506  1
    │   └── ImageFileError             E0507  1
    ├── LayerError                     E0600  1
    │   ├── LayerFormatError           E0601  1
    │   ├── PathEscapeError            E0602  1
    │   └── LayerTooLargeError         E0603  1
    ├── ArchiveError                   E0650  1   a file that holds no image that can be loaded
    ├── MountError                     E0700  1
    ├── CommandError                   E0710  1   a RUN that failed
    │   └── CommandTimeoutError        E0711  1
    ├── StoppedError                   E0712  1   what a stage was at when the build failed in another one
    ├── SandboxError                   E0720  1   a RUN, or an image's program, that could not be started
    │   └── UserUnavailableError       E0721  1   a program that cannot be run as its user here
    ├── RegistryError                  E0800  1   a registry that refuses, or answers nonsense
    │   ├── RegistryConnectionError    E0801  1   no answer, no trusted certificate, a cut connection
    │   ├── RegistryAuthError          E0802  1   not logged in, or not allowed
    │   ├── RegistryNotFoundError      E0803  1
    │   └── RegistryContentError       E0804  1   other bytes than were announced, or too many
    ├── CredentialsError               E0810  1   a credentials file or helper that cannot be used
    ├── DiscoveryError                 E0850  1   container images that cannot be found out
    │   ├── ChartError                 E0851  1   a chart that cannot be read or rendered
    │   ├── KubeVersionError           E0852  1   a chart for other versions of Kubernetes, or no version at all
    │   └── ImageNameError             E0853  1   texts where images are certainly named, and that are no names
    ├── PackingError                   E0860  1   container images that cannot be packed, or are not whole
    │   └── RehearsalError             E0861  1   a rehearsal that could not be held
    ├── LockError                      E0870  1
    │   ├── LockFileError              E0871  2   a lock that is not there, or cannot be read
    │   └── LockStaleError             E0872  1   a project that is not what was locked
    └── SignatureError                 E0880  1   a signature that cannot be added
        └── TrustError                 E0881  1   an image that the policy of the configuration file refuses

The harness has one more, for a check that does not hold: ``harness.checks.CheckError``, E0900.

Errors carry facts. Laying them out is the work of `kubeimage.report`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, NamedTuple

Severity = Literal["error", "warning", "note"]
"""How much a diagnostic matters: a note is no fault."""


class Location(NamedTuple):
    """A place in a text file, as a person finds it.

    Units: ``line`` and ``column`` count from 1, in characters of the physical file; ``length`` is in characters.
    """

    file: str
    line: int
    column: int = 1
    text: str = ""
    length: int = 1


class Diagnostic(NamedTuple):
    """One thing that is wrong, or unwise: what, where, and what to do about it."""

    code: str
    message: str
    location: Location | None = None
    hint: str | None = None
    severity: Severity = "error"


class KubeimageError(Exception):
    """Base of all errors that kubeimage raises on purpose; ``str()`` is the message alone."""

    code: ClassVar[str] = "E0001"
    exit_status: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None, location: Location | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.location = location

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """The facts to show, one or more."""
        return (Diagnostic(self.code, self.message, self.location, self.hint),)


class UsageError(KubeimageError):
    """Options or arguments that cannot be followed."""

    code = "E0101"
    exit_status = 2


class BuildArgError(UsageError):
    """A ``--build-arg`` that no ARG declares, or that has no value to take."""

    code = "E0102"


class ReferenceFormatError(UsageError):
    """A text that is not an image reference."""

    code = "E0103"


class DigestFormatError(UsageError):
    """A text that is not a digest."""

    code = "E0104"


class PlatformFormatError(UsageError):
    """A text that is not ``os/architecture[/variant]``."""

    code = "E0105"


class SettingsError(UsageError):
    """A configuration file that cannot be read or followed."""

    code = "E0106"


class KubefileError(KubeimageError):
    """A Kubefile that cannot be parsed or used: all its errors at once.

    Shape: ``diagnostics`` is never empty and stands in the order of the file.
    """

    code = "E0200"
    exit_status = 2

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        first = diagnostics[0]
        super().__init__(first.message, hint=first.hint, location=first.location)
        self._diagnostics = tuple(diagnostics)

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Every error of the file."""
        return self._diagnostics


class ContextError(KubeimageError):
    """Something about the build context or a COPY from it."""

    code = "E0300"


class ContextNotFoundError(ContextError):
    """The build context is not there, or is not a folder."""

    code = "E0301"
    exit_status = 2


class SourceNotFoundError(ContextError):
    """A COPY source that matches nothing."""

    code = "E0302"


class SourceEscapeError(ContextError):
    """A COPY source that leads out of the build context."""

    code = "E0303"


class UnsupportedSourceError(ContextError):
    """A file that no layer can hold: a socket, a device, a reserved or undecodable name."""

    code = "E0304"


class UnreadableSourceError(ContextError):
    """A file or folder of the context that cannot be read."""

    code = "E0305"


class ContextChangedError(ContextError):
    """A file that changed while it was read."""

    code = "E0306"


class DestinationError(ContextError):
    """A COPY destination that leaves the image root or runs through a file."""

    code = "E0307"


class AdditionError(ContextError):
    """A file that cannot be fetched, or an archive that cannot be unpacked."""

    code = "E0308"


class BuildError(KubeimageError):
    """A build that cannot go on."""

    code = "E0400"


class LayerLimitError(BuildError):
    """More layers than an image may have."""

    code = "E0401"
    exit_status = 2


class BaseImageError(BuildError):
    """A base image that is not in the store."""

    code = "E0402"


class PlatformMismatchError(BuildError):
    """A base image, or a RUN, for another platform than the one asked for."""

    code = "E0403"


class StoreError(KubeimageError):
    """Something about the image store."""

    code = "E0500"


class ImageNotFoundError(StoreError):
    """No image of that name."""

    code = "E0501"


class StoreAccessError(StoreError):
    """A store that cannot be opened, read or written."""

    code = "E0502"


class StoreFullError(StoreError):
    """No space, or no more inodes, where the store lies."""

    code = "E0503"


class StoreVersionError(StoreError):
    """A store written by a newer kubeimage."""

    code = "E0504"


class BlobNotFoundError(StoreError):
    """A blob that something refers to and that is not there."""

    code = "E0505"


class BlobCorruptError(StoreError):
    """A blob whose bytes do not have its digest or size."""

    code = "E0506"


class ImageFileError(StoreError):
    """A path that is not in an image, or is not what it was asked for as."""

    code = "E0507"


class LayerError(KubeimageError):
    """Something about a layer's tar."""

    code = "E0600"


class LayerFormatError(LayerError):
    """A tar that is truncated, damaged, or holds what a layer may not hold."""

    code = "E0601"


class PathEscapeError(LayerError):
    """An entry that would land outside the root."""

    code = "E0602"


class LayerTooLargeError(LayerError):
    """More content than was allowed."""

    code = "E0603"


class ArchiveError(KubeimageError):
    """A file that is no archive of images, or one that is damaged."""

    code = "E0650"


class MountError(KubeimageError):
    """A root filesystem that cannot be put together for a RUN."""

    code = "E0700"


class CommandError(KubeimageError):
    """A RUN whose command failed.

    Shape: ``status`` is the exit status, or minus the signal's number; ``output`` holds the last lines it printed.
    """

    code = "E0710"

    def __init__(
        self,
        message: str,
        *,
        status: int,
        output: str = "",
        hint: str | None = None,
        location: Location | None = None,
    ) -> None:
        super().__init__(message, hint=hint, location=location)
        self.status = status
        self.output = output


class CommandTimeoutError(CommandError):
    """A RUN that took longer than it was given."""

    code = "E0711"


class StoppedError(KubeimageError):
    """Work that ended before it was done, since the build has failed in another stage."""

    code = "E0712"


class SandboxError(KubeimageError):
    """A RUN, or an image's program, that could not be started."""

    code = "E0720"


class UserUnavailableError(SandboxError):
    """A program that cannot be run as its user here."""

    code = "E0721"


class RegistryError(KubeimageError):
    """A registry that refuses, or whose answer makes no sense.

    Shape: ``status`` is the HTTP status, None where there was no answer; ``codes`` are the registry's own error codes.
    """

    code = "E0800"

    def __init__(
        self, message: str, *, status: int | None = None, codes: Sequence[str] = (), hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.codes = tuple(codes)


class RegistryConnectionError(RegistryError):
    """A registry that cannot be reached, is not trusted, or was lost in the middle.

    Shape: ``transient`` says whether the same request may well succeed the next time.
    """

    code = "E0801"

    def __init__(self, message: str, *, transient: bool = False, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.transient = transient


class RegistryAuthError(RegistryError):
    """A registry that wants other credentials, or does not allow what was asked."""

    code = "E0802"


class RegistryNotFoundError(RegistryError):
    """Something that the registry does not have."""

    code = "E0803"


class RegistryContentError(RegistryError):
    """Bytes from a registry that are not those announced, or too many of them."""

    code = "E0804"


class CredentialsError(KubeimageError):
    """A credentials file or credential helper that cannot be used."""

    code = "E0810"


class DiscoveryError(KubeimageError):
    """Container images that cannot be found out."""

    code = "E0850"


class ChartError(DiscoveryError):
    """A chart that cannot be read or rendered."""

    code = "E0851"


class KubeVersionError(DiscoveryError):
    """A chart that asks for other versions of Kubernetes, or what is no version or constraint."""

    code = "E0852"


class ImageNameError(DiscoveryError):
    """Texts that stand where images are certainly named, and that are no names: all of them at once."""

    code = "E0853"

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        first = diagnostics[0]
        super().__init__(first.message, hint=first.hint, location=first.location)
        self._diagnostics = tuple(diagnostics)

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Each of the texts, with its place."""
        return self._diagnostics


class PackingError(KubeimageError):
    """Container images that cannot be packed into an image, or are not whole in it."""

    code = "E0860"


class RehearsalError(PackingError):
    """A rehearsal that could not be held."""

    code = "E0861"


class LockError(KubeimageError):
    """A lock that a build cannot go by."""

    code = "E0870"


class LockFileError(LockError):
    """A lock that is not there, or that cannot be read."""

    code = "E0871"
    exit_status = 2


class LockStaleError(LockError):
    """A project that is not what was locked: all differences at once, each by its name."""

    code = "E0872"

    def __init__(self, differences: Sequence[str], *, hint: str | None = None) -> None:
        super().__init__(differences[0], hint=hint)
        self.differences = tuple(differences)

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Each of the differences."""
        return tuple(Diagnostic(self.code, one, self.location, self.hint) for one in self.differences)


class SignatureError(KubeimageError):
    """A signature that cannot be added to an image."""

    code = "E0880"


class TrustError(SignatureError):
    """An image that the policy of the configuration file refuses: it is rejected, or not signed as it must be."""

    code = "E0881"
