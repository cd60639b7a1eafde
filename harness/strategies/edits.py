"""Edits: one change to a project, as its author would make it between two builds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from harness import model
from harness.strategies.images import PLATFORMS
from harness.strategies.projects import Project, build_args
from harness.trees import File, Folder, HardLink, clean
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


def edits(project: Project) -> SearchStrategy[Edit]:
    """Generate changes to ``project``: to its context, to its Kubefile, to its base, build arguments and platform.

    What is changed still builds. The simplest change is a new file that may be of no interest.
    """
    kinds: list[_Editor] = [_add, _write, _delete, _chmod, _change_instruction, _drop_instruction, _repeat_instruction]
    kinds += [_give_arguments, _change_platform, *([_change_base] if project.base else [])]
    return _edits(project, kinds)


@st.composite
def _edits(draw: st.DrawFn, project: Project, kinds: list[_Editor]) -> Edit:
    edit = draw(st.sampled_from(kinds))(draw, project)
    return edit if _builds(edit.project) else _add(draw, project)


def _builds(project: Project) -> bool:
    try:
        return model.build(project.request).error is None
    except model.Unknown:
        return False


def _add(draw: st.DrawFn, project: Project) -> Edit:
    path = draw(st.sampled_from(_NEW_FILES))
    return Edit(f"new file {path!r}", replace(project, context={**project.context, path: "new"}), path)


def _write(draw: st.DrawFn, project: Project) -> Edit:
    files = [path for path, content in project.context.items() if isinstance(content, str | bytes | File)]
    if not files:
        return _add(draw, project)
    path = draw(st.sampled_from(files))
    old = project.context[path]
    mode = old.mode if isinstance(old, File) else 0o644
    data = File(old).data if isinstance(old, str | bytes) else old.data if isinstance(old, File) else b""
    text = draw(st.sampled_from((bytes(255 - byte for byte in data), data + b"+")))
    return Edit(f"write to {path!r}", replace(project, context={**project.context, path: File(text, mode)}), path)


def _delete(draw: st.DrawFn, project: Project) -> Edit:
    path = draw(st.sampled_from(sorted(project.context)))
    gone = {one for one in project.context if one == path or one.startswith(path + "/")}
    links = {one for one, content in project.context.items() if isinstance(content, HardLink) and content.path in gone}
    context = {one: content for one, content in project.context.items() if one not in gone | links}
    return Edit(f"delete {path!r}", replace(project, context=context), path)


def _chmod(draw: st.DrawFn, project: Project) -> Edit:
    path = draw(st.sampled_from(sorted(project.context)))
    content = model.complete(project.context)[clean(path)]
    if not isinstance(content, File):
        return _add(draw, project)
    changed = replace(content, mode=content.mode ^ 0o100)
    return Edit(f"chmod {path!r}", replace(project, context={**project.context, path: changed}), path)


def _change_instruction(draw: st.DrawFn, project: Project) -> Edit:
    number, old = draw(st.sampled_from(list(enumerate(project.kubefile.instructions))))
    return _with_instructions(project, "change", old, number, [_changed(old)])


def _changed(old: Instruction) -> Instruction:
    if isinstance(old, Run):
        return Run(f"{old.command} && true")
    if isinstance(old, Copy):
        return replace(old, chmod=0o711 if old.chmod is None else None)
    if isinstance(old, Cmd):
        return Cmd((*old.commands, "more"))
    if isinstance(old, Arg):
        return Arg(tuple((key, value and value + "0") for key, value in old.pairs))
    return old


def _drop_instruction(draw: st.DrawFn, project: Project) -> Edit:
    number, old = draw(st.sampled_from(list(enumerate(project.kubefile.instructions))))
    return _with_instructions(project, "drop", old, number, [old] if isinstance(old, From) else [])


def _repeat_instruction(draw: st.DrawFn, project: Project) -> Edit:
    number, old = draw(st.sampled_from(list(enumerate(project.kubefile.instructions))))
    return _with_instructions(project, "repeat", old, number, [old] if isinstance(old, From) else [old, old])


def _with_instructions(project: Project, what: str, old: Instruction, number: int, new: list[Instruction]) -> Edit:
    before, after = project.kubefile.instructions[:number], project.kubefile.instructions[number + 1 :]
    return Edit(f"{what} {old.keyword} {old.value}", project.with_instructions([*before, *new, *after]))


def _give_arguments(draw: st.DrawFn, project: Project) -> Edit:
    given = {key: value for key, value in draw(build_args(project.kubefile)).items() if key != "BASE"}
    return Edit(f"build args {given!r}", replace(project, build_args=given))


def _change_platform(draw: st.DrawFn, project: Project) -> Edit:
    platform = draw(st.sampled_from(PLATFORMS))
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
