"""Edits: one change to a project, as its author would make it between two builds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from harness import model
from harness.model.arguments import expand_copy, walk
from harness.model.context import Context
from harness.model.sources import read_by
from harness.strategies.contexts import MTIMES, XATTRS
from harness.strategies.images import PLATFORMS
from harness.strategies.project import Project
from harness.trees import File, Folder, HardLink, Link
from kubeimage.kubefile import Arg, Cmd, Copy, From, Instruction, Run

_NEW_FILES = ("unread", "z", ".z")


class Edit(NamedTuple):
    """A project after one change.

    Shape: ``what`` says what was changed; ``path`` is the path of the context that was.
    """

    what: str
    project: Project
    path: str | None = None


_Editor = Callable[[st.DrawFn, Project], Edit]


def edits(project: Project, *, platforms: Sequence[str] = PLATFORMS) -> SearchStrategy[Edit]:
    """Generate changes to ``project``: to its context, to its Kubefile, to its base, build arguments and platform.

    What is changed still builds, on a machine where RUN works for ``platforms``. The simplest change is a new file that
    may be of no interest.
    """
    behind = len(project.kubefile.instructions) > 1
    others = [one for one in platforms if one != project.platform]
    kinds = _context_editors(project)
    kinds += [partial(_change_platform, platforms=others)] if others else []
    kinds += [_change_instruction] * 4 + [_drop_instruction, _repeat_instruction, _swap_instructions] if behind else []
    kinds += [_give_arguments] * 3 if _arguments(project) else []
    kinds += [_take_arguments] if project.build_args else []
    kinds += [_change_base] * 3 if project.base else []
    return _edits(project, kinds)


def context_edits(project: Project) -> SearchStrategy[Edit]:
    """Generate changes to the context of ``project`` alone, which still builds."""
    return _edits(project, _context_editors(project))


def _context_editors(project: Project) -> list[_Editor]:
    files = any(isinstance(content, str | bytes | File) for content in project.context.values())
    kinds: list[_Editor] = [_add]
    kinds += [_delete] if project.context else []
    kinds += [*[_write, _chmod, _rename] * 2, _touch] if files else []
    return kinds + ([_retarget] * 2 if _links(project) else [])


@st.composite
def _edits(draw: st.DrawFn, project: Project, kinds: list[_Editor]) -> Edit:
    edit = draw(st.sampled_from(kinds))(draw, project)
    # A pattern may match one file too many even with a new one.
    return next((one for one in (edit, _add(draw, project)) if _builds(one.project)), Edit("nothing", project))


def _builds(project: Project) -> bool:
    try:
        return model.build(project.request).error is None
    except model.Unknown:
        return False


def _add(draw: st.DrawFn, project: Project) -> Edit:
    path = draw(st.sampled_from(_NEW_FILES))
    return Edit(f"new file {path!r}", replace(project, context={**project.context, path: "new"}), path)


def _write(draw: st.DrawFn, project: Project) -> Edit:
    path, old = draw(_files(project))
    # As long as it was, where that can be another one.
    data = draw(st.sampled_from((bytes(255 - byte for byte in old.data) or b"-", old.data + b"+")))
    return Edit(f"write to {path!r}", replace(project, context={**project.context, path: File(data, old.mode)}), path)


def _files(project: Project) -> SearchStrategy[tuple[str, File]]:
    files = {
        path: content if isinstance(content, File) else File(content)
        for path, content in project.context.items()
        if isinstance(content, str | bytes | File)
    }
    return _preferring_read(project, list(files)).map(lambda path: (path, files[path]))


def _preferring_read(project: Project, paths: list[str]) -> SearchStrategy[str]:
    """Choose one of ``paths``, more often one that a COPY reads: others make no difference."""
    read = _read(project).intersection(paths)
    anyone = st.sampled_from(paths)
    return st.sampled_from(sorted(read)) | anyone if read else anyone


def _read(project: Project) -> set[str]:
    context, found = Context(model.complete(project.context)), set[str]()
    architecture = project.platform.split("/")[1]
    for one, values in walk(project.kubefile, project.build_args):
        if isinstance(one, Copy):
            sources, _ = expand_copy(one, values, architecture)
            found.update(path for source in sources for path in read_by(context, source))
    return found


def _delete(draw: st.DrawFn, project: Project) -> Edit:
    path = draw(_preferring_read(project, sorted(project.context)))
    gone = {one for one in project.context if one == path or one.startswith(path + "/")}
    links = {one for one, content in project.context.items() if isinstance(content, HardLink) and content.path in gone}
    context = {one: content for one, content in project.context.items() if one not in gone | links}
    return Edit(f"delete {path!r}", replace(project, context=context), path)


def _chmod(draw: st.DrawFn, project: Project) -> Edit:
    path, old = draw(_files(project))
    changed = File(old.content, old.mode ^ 0o100)
    return Edit(f"chmod {path!r}", replace(project, context={**project.context, path: changed}), path)


def _touch(draw: st.DrawFn, project: Project) -> Edit:
    """Change a file's time and extended attributes, which are of no interest to anybody."""
    path, old = draw(_files(project))
    touched = File(old.content, old.mode, draw(st.sampled_from(MTIMES)), draw(st.sampled_from(XATTRS)))
    return Edit(f"touch {path!r}", replace(project, context={**project.context, path: touched}), path)


def _rename(draw: st.DrawFn, project: Project) -> Edit:
    path, _ = draw(_files(project))
    context = {path + "~" if one == path else one: content for one, content in project.context.items()}
    links = {one for one, content in context.items() if isinstance(content, HardLink) and content.path == path}
    renamed = {one: HardLink(path + "~") if one in links else content for one, content in context.items()}
    return Edit(f"rename {path!r}", replace(project, context=renamed), path)


def _retarget(draw: st.DrawFn, project: Project) -> Edit:
    path = draw(_preferring_read(project, _links(project)))
    return Edit(f"retarget {path!r}", replace(project, context={**project.context, path: Link("elsewhere")}), path)


def _links(project: Project) -> list[str]:
    return [path for path, content in project.context.items() if isinstance(content, Link)]


def _change_instruction(draw: st.DrawFn, project: Project) -> Edit:
    number, old = draw(_instructions(project))
    changed = draw(st.sampled_from(_changed_copies(old))) if isinstance(old, Copy) else _changed(old)
    return _with_instructions(project, "change", old, number, [changed])


def _instructions(project: Project) -> SearchStrategy[tuple[int, Instruction]]:
    numbered = enumerate(project.kubefile.instructions)
    return st.sampled_from([(number, one) for number, one in numbered if not isinstance(one, From)])


def _changed_copies(old: Copy) -> list[Instruction]:
    return [
        replace(old, destination=f"{old.destination}/other"),
        replace(old, chmod=0o711 if old.chmod is None else None),
        replace(old, exact=not old.exact) if len(old.sources) == 1 else replace(old, sources=old.sources[::-1]),
        replace(old, sources=old.sources[:1]),
    ]


def _changed(old: Instruction) -> Instruction:
    if isinstance(old, Run):
        return Run(f"{old.command} && true")
    if isinstance(old, Cmd):
        return Cmd((*old.commands, "more"))
    if isinstance(old, Arg):
        return Arg(tuple((key, "0" if value is None else value + "0") for key, value in old.pairs))
    return old


def _drop_instruction(draw: st.DrawFn, project: Project) -> Edit:
    number, old = draw(_instructions(project))
    return _with_instructions(project, "drop", old, number, [])


def _repeat_instruction(draw: st.DrawFn, project: Project) -> Edit:
    number, old = draw(_instructions(project))
    return _with_instructions(project, "repeat", old, number, [old, old])


def _swap_instructions(draw: st.DrawFn, project: Project) -> Edit:
    (first, one), (second, other) = draw(_instructions(project)), draw(_instructions(project))
    changed = list(project.kubefile.instructions)
    changed[first], changed[second] = other, one
    base = changed.index(project.kubefile.base)
    if not all(isinstance(above, Arg) for above in changed[:base]):
        return _add(draw, project)
    return Edit(f"swap {one.keyword} and {other.keyword}", project.with_instructions(changed))


def _with_instructions(project: Project, what: str, old: Instruction, number: int, new: list[Instruction]) -> Edit:
    before, after = project.kubefile.instructions[:number], project.kubefile.instructions[number + 1 :]
    return Edit(f"{what} {old.keyword} {old.value}", project.with_instructions([*before, *new, *after]))


def _give_arguments(draw: st.DrawFn, project: Project) -> Edit:
    key = draw(st.sampled_from(_arguments(project)))
    given = {**project.build_args, key: project.build_args.get(key, "") + draw(st.sampled_from(("0", " 1")))}
    return Edit(f"build args {given!r}", replace(project, build_args=given))


def _take_arguments(_draw: st.DrawFn, project: Project) -> Edit:
    return Edit("no build args", replace(project, build_args={}))


def _arguments(project: Project) -> list[str]:
    return [key for key in project.kubefile.declared if key != "BASE"]


def _change_platform(draw: st.DrawFn, project: Project, *, platforms: Sequence[str]) -> Edit:
    platform = draw(st.sampled_from(platforms))
    base = project.base and replace(project.base, platform=platform)
    return Edit(f"platform {platform}", replace(project, platform=platform, base=base))


def _change_base(_draw: st.DrawFn, project: Project) -> Edit:
    assert project.base is not None
    base = project.base
    layer: model.Layer = {"base": Folder(0o755), "base/edited": File(b"1")}
    changed = replace(
        base,
        layers=(*base.layers[:-1], layer),
        made_by=base.made_by or (("COPY", "0 ."),),
        history=base.history or (("COPY 0 .", True),),
    )
    return Edit("another base", replace(project, base=changed))
