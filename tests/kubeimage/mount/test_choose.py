"""Which mounter a build gets, and when that is decided."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Never

import pytest

from kubeimage.errors import MountError, UsageError
from kubeimage.mount.choose import choose_mounter
from kubeimage.mount.overlay import OverlayMounter
from tests.kubeimage.mount.conftest import FolderSnapshots


def refuse(_mounter: OverlayMounter) -> Never:
    raise MountError("overlay mounts do not work here: unshare: not permitted", hint="…")


@pytest.mark.parametrize("name", ["overlay", "copy"])
def test_a_name_is_obeyed_and_nothing_is_said(snapshots: FolderSnapshots, name: str) -> None:
    said: list[str] = []

    mounter = choose_mounter(name, snapshots, said.append)

    assert (mounter.name, said, snapshots.scratches) == (name, [], 0)


def test_another_name_is_refused_with_the_ones_there_are(snapshots: FolderSnapshots) -> None:
    with pytest.raises(UsageError, match="'bind'") as caught:
        choose_mounter("bind", snapshots)

    assert caught.value.hint == "choose one of auto, overlay, copy"


def test_nothing_is_tried_before_the_first_mount(snapshots: FolderSnapshots) -> None:
    said: list[str] = []

    mounter = choose_mounter("auto", snapshots, said.append)

    assert (mounter.name, said, snapshots.scratches) == ("auto", [], 0)


def test_auto_takes_an_overlay_where_it_works_and_says_so_once(snapshots: FolderSnapshots) -> None:
    said: list[str] = []
    mounter = choose_mounter("auto", snapshots, said.append)

    with mounter.mount([]), mounter.mount([]):
        pass

    assert mounter.name == "overlay"
    assert said == ["RUN works on an overlay of the layers (--mount=overlay)"]


def test_auto_says_why_it_copies_and_does_not_change_its_mind(
    snapshots: FolderSnapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    mounter = choose_mounter("auto", snapshots, said.append)

    with monkeypatch.context() as patch:
        patch.setattr(OverlayMounter, "probe", refuse)
        with mounter.mount([]):
            pass
    with mounter.mount([]):
        pass

    assert mounter.name == "copy"
    reason = "overlay mounts do not work here: unshare: not permitted"
    assert said == [f"RUN works on a copy of its root filesystem (--mount=copy): {reason}"]


def test_an_overlay_that_was_asked_for_is_not_replaced(
    snapshots: FolderSnapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OverlayMounter, "_find_options", refuse)

    with pytest.raises(MountError, match="not permitted"), choose_mounter("overlay", snapshots).mount([]):
        pass


def test_where_mounting_is_refused_auto_copies(snapshots: FolderSnapshots, tmp_path: Path) -> None:
    script = """
        import sys
        from contextlib import contextmanager
        from kubeimage.mount.choose import choose_mounter
        class Snapshots:
            count = 0
            @contextmanager
            def scratch(self):
                import os
                self.count += 1
                path = f"{sys.argv[1]}/{self.count}"
                os.mkdir(path)
                yield path
        with choose_mounter("auto", Snapshots(), print).mount([]) as mount:
            print(mount.rootfs)
    """
    limits = 'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set -sys_admin -- "$@"'
    done = subprocess.run(
        ["unshare", "-U", "-r", "sh", "-c", limits, "sh", sys.executable, "-c", textwrap.dedent(script), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )

    assert "--mount=copy): overlay mounts do not work here: user.max_user_namespaces is 0 here\n" in done.stdout
