"""An image as tests of container-structure-test's see it: read where it lies, and nothing of it unpacked."""

from __future__ import annotations

from harness.cst.judge import ROOT_ENTRY, clean_path
from kubeimage.api.opening import OpenImage
from kubeimage.errors import ImageFileError
from kubeimage.image.runtime import RuntimeConfig
from kubeimage.layer.entry import Entry, Kind


class OpenedSubject:
    """An image that is open."""

    def __init__(self, opened: OpenImage) -> None:
        self._opened = opened

    @property
    def runtime(self) -> RuntimeConfig:
        """Its config."""
        return self._opened.image.runtime

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return dict(self._opened.image.labels)

    def find(self, path: str) -> Entry | None:
        """Return what stands at ``path``, a symlink at its end as itself; None where nothing stands."""
        clean = clean_path(path)
        if not clean:
            return ROOT_ENTRY
        try:
            return self._opened.resolve(clean, follow=False)
        except ImageFileError:
            return None

    def read(self, path: str) -> bytes:
        """Return a file's content, through symlinks.

        Raises: ImageFileError where there is no file.
        """
        clean = clean_path(path)
        if not clean:
            raise ImageFileError(f"{path!r} is a directory, and has no content")
        return self._opened.read(clean)

    def folders_in(self, path: str) -> list[str]:
        """Return the names of the folders in a folder, sorted.

        Raises: ImageFileError where there is none.
        """
        folder = self._opened.resolve(path)
        if folder.kind is not Kind.DIRECTORY:
            raise ImageFileError(f"/{path} is a {folder.kind.value}, and no folder")
        entries = self._opened.rootfs.values()
        return sorted(
            one.path.rpartition("/")[2]
            for one in entries
            if one.kind is Kind.DIRECTORY and one.path.rpartition("/")[0] == folder.path
        )
