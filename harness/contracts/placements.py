"""The rules of COPY as tables: what is asked for in which context, and where it lands, or why it cannot.

Source: the project's design, "The language".
"""

from __future__ import annotations

from harness.fakes.context import Directory, Files, Socket, Symlink
from kubeimage.errors import (
    ContextError,
    DestinationError,
    SourceEscapeError,
    SourceNotFoundError,
    UnsupportedSourceError,
)
from kubeimage.protocols.context import CopyRequest


def copy(text: str, *, exact: bool = False, chmod: int | None = None, mtime: int | None = 0) -> CopyRequest:
    """Ask for what a COPY with these words asks for."""
    *sources, destination = text.split(" ")
    return CopyRequest(tuple(sources), destination, exact, chmod, mtime)


def exactly(text: str) -> CopyRequest:
    """Ask for what a COPY --exact asks for."""
    return copy(text, exact=True)


def label(case: object) -> str | None:
    """Name a row of a table after its COPY."""
    if not isinstance(case, CopyRequest):
        return ""
    return " ".join([*(["--exact"] if case.exact else []), *case.sources, case.destination])


PROJECT: Files = {
    "helm": "binary",
    "kubectl": "other",
    "etc/a.yaml": "1",
    "etc/b.yaml": "2",
    "etc/conf/c.yaml": "3",
    "bin/helm": "nested",
    "app.v1/chart/values.yaml": "v",
    "docs/readme.txt": "r",
    ".hidden/x": "x",
    "empty": Directory(),
}


ETC = ["etc/", "etc/a.yaml", "etc/b.yaml", "etc/conf/", "etc/conf/c.yaml"]
INSIDE_ETC = ["x/a.yaml", "x/b.yaml", "x/conf/", "x/conf/c.yaml"]
EVERYTHING = [
    ".hidden/",
    ".hidden/x",
    "app.v1/",
    "app.v1/chart/",
    "app.v1/chart/values.yaml",
    "bin/",
    "bin/helm",
    "docs/",
    "docs/readme.txt",
    "empty/",
    *ETC,
    "helm",
    "kubectl",
]

PLACEMENTS: list[tuple[CopyRequest, list[str]]] = [
    # an entry named after itself, inside DEST
    (copy("helm bin"), ["bin/helm"]),
    (copy("helm bin/"), ["bin/helm"]),
    (copy("helm /bin"), ["bin/helm"]),
    (copy("helm ./bin"), ["bin/helm"]),
    (copy("helm .//bin//"), ["bin/helm"]),
    (copy("helm a/b/c"), ["a/b/c/helm"]),
    (copy("helm ."), ["helm"]),
    (copy("helm /"), ["helm"]),
    (copy("helm ./"), ["helm"]),
    (copy("etc ."), ETC),
    (copy("etc /"), ETC),
    (copy("etc x"), ["x/" + path for path in ETC]),
    (copy("empty x"), ["x/empty/"]),
    (copy("bin/helm x"), ["x/helm"]),
    (copy("etc/conf x"), ["x/conf/", "x/conf/c.yaml"]),
    (copy("helm helm/bin"), ["helm/bin/helm"]),
    (copy("helm helmet"), ["helmet/helm"]),
    (copy("helm bin/HELM"), ["bin/HELM/helm"]),
    # not doubled where DEST ends in the source's own name
    (copy("helm bin/helm"), ["bin/helm"]),
    (copy("helm bin/helm/"), ["bin/helm"]),
    (copy("helm helm"), ["helm"]),
    (copy("helm /helm"), ["helm"]),
    (copy("helm helm/."), ["helm"]),
    (copy("bin/helm helm"), ["helm"]),
    (copy("etc etc"), ETC),
    (copy("etc/ /etc/"), ETC),
    (copy("etc/conf opt/conf"), ["opt/conf/", "opt/conf/c.yaml"]),
    (copy("helm helm/helm"), ["helm/helm"]),
    # how a source is written says nothing
    (copy("./helm bin"), ["bin/helm"]),
    (copy("/helm bin"), ["bin/helm"]),
    (copy("helm/ bin"), ["bin/helm"]),
    (copy(".//etc//conf// x"), ["x/conf/", "x/conf/c.yaml"]),
    (copy("etc/../helm bin"), ["bin/helm"]),
    (copy("etc/conf/.. ."), ETC),
    (copy("nowhere/../helm bin"), ["bin/helm"]),
    # with several matches DEST is always a directory
    (copy("helm kubectl bin"), ["bin/helm", "bin/kubectl"]),
    (copy("helm kubectl bin/helm"), ["bin/helm/helm", "bin/helm/kubectl"]),
    (copy("kubectl helm bin/helm"), ["bin/helm/helm", "bin/helm/kubectl"]),
    (copy("helm etc x"), ["x/etc/", *("x/" + path for path in ETC[1:]), "x/helm"]),
    (copy("helm helm helm"), ["helm/helm"]),
    (copy("helm etc/*.yaml helm"), ["helm/a.yaml", "helm/b.yaml", "helm/helm"]),
    # entries of a directory
    (copy(". ."), EVERYTHING),
    (copy("./ /"), EVERYTHING),
    (copy("/ ."), EVERYTHING),
    (copy("etc/.. ."), EVERYTHING),
    (copy(". x"), ["x/" + path for path in EVERYTHING]),
    (copy("etc/. x"), INSIDE_ETC),
    (copy("etc/./ x"), INSIDE_ETC),
    (copy("etc/* x"), INSIDE_ETC),
    (copy("./etc/* x"), INSIDE_ETC),
    (copy("etc/. etc"), ETC[1:]),
    (copy("etc/* etc"), ETC[1:]),
    (copy("bin/* helm"), ["helm/helm"]),
    (copy("bin/* bin"), ["bin/helm"]),
    (copy("empty/. x"), []),
    (copy("* ."), EVERYTHING),
    (copy("* helm"), ["helm/" + path for path in EVERYTHING]),
    (copy("etc/. bin/. x"), [*INSIDE_ETC, "x/helm"]),
    # wildcards, name by name
    (copy("etc/*.yaml x"), ["x/a.yaml", "x/b.yaml"]),
    (copy("etc/a* a.yaml"), ["a.yaml"]),
    (copy("etc/a* x"), ["x/a.yaml"]),
    (copy("etc/?.yaml x"), ["x/a.yaml", "x/b.yaml"]),
    (copy("etc/[b-z].yaml x"), ["x/b.yaml"]),
    (copy("etc/[!b].yaml x"), ["x/a.yaml"]),
    (copy("etc/[^a].yaml x"), ["x/b.yaml"]),
    (copy("*elm bin/helm"), ["bin/helm"]),
    (copy("*/helm bin"), ["bin/helm"]),
    (copy("*/*.yaml x"), ["x/a.yaml", "x/b.yaml"]),
    (copy("*/conf x"), ["x/conf/", "x/conf/c.yaml"]),
    (copy("*/conf/. x"), ["x/c.yaml"]),
    (copy("e*/. x"), INSIDE_ETC),
    (copy("*dden x"), ["x/.hidden/", "x/.hidden/x"]),
    (copy("app.v?/* x"), ["x/chart/", "x/chart/values.yaml"]),
    # exactly there
    (exactly("helm bin/helm-v3"), ["bin/helm-v3"]),
    (exactly("helm bin"), ["bin"]),
    (exactly("helm /opt/"), ["opt"]),
    (exactly("hel? bin/h"), ["bin/h"]),
    (exactly("bin/* bin/h"), ["bin/h"]),
    (exactly("etc x"), ["x/", *INSIDE_ETC]),
    (exactly("etc ."), [path.removeprefix("etc/") for path in ETC[1:]]),
    (exactly("etc/. x"), INSIDE_ETC),
    (exactly(". x"), ["x/" + path for path in EVERYTHING]),
    # up and down inside the root
    (copy("helm a/../bin"), ["bin/helm"]),
    (copy("helm a/.."), ["helm"]),
    (copy("helm a/b/../../bin/./helm"), ["bin/helm"]),
]


DIRECTORIES: list[tuple[CopyRequest, tuple[str, ...]]] = [
    (copy("helm ."), ()),
    (copy("helm bin"), ("bin",)),
    (copy("helm a/b/c"), ("a", "a/b", "a/b/c")),
    (copy("helm bin/helm"), ("bin",)),
    (copy("etc etc"), ()),
    (copy("etc a/etc"), ("a",)),
    (copy("helm kubectl helm"), ("helm",)),
    (copy(". x/y"), ("x", "x/y")),
    (copy("empty/. x"), ("x",)),
    (exactly("etc x/y"), ("x",)),
    (exactly("etc ."), ()),
    (exactly("helm x/y"), ("x",)),
]

MESSY: Files = {
    "file": "f",
    "dir/file": "d",
    "dir/sub/file": "s",
    "other/sub": "a file",
    "other/file": "o",
    "safe -> not an arrow": "1",
    "star*": "literal",
    "starfish": "matched",
    "[ab]": "literal",
    "back\\slash": "literal",
    "in": Symlink("dir"),
    "deep/in": Symlink("../dir/./sub"),
    "dangling": Symlink("dir/gone"),
    "circle": Symlink("circle"),
    "out": Symlink("../elsewhere"),
    "absolute": Symlink("/etc"),
    "late": Symlink("dir/../../elsewhere"),
    "chain": Symlink("out"),
    "keeps/out": Symlink("/etc/passwd"),
    "dev/.wh.gone": "",
    "bad/socket": Socket(),
    "imageListWithAuth.yaml": "secret",
    "lists/imageListWithAuth.yaml": "secret",
    "lists/imageList": "public",
}


ODD_PLACEMENTS: list[tuple[CopyRequest, list[str]]] = [
    (copy("star* x"), ["x/star*"]),
    (copy("star? x"), ["x/star*"]),
    (copy("sta* x"), ["x/star*", "x/starfish"]),
    (copy("star\\* x"), ["x/star*"]),
    (copy("[ab] x"), ["x/[ab]"]),
    (copy("\\[ab\\] x"), ["x/[ab]"]),
    (copy("back\\slash x"), ["x/back\\slash"]),
    (copy("back\\\\slash x"), ["x/back\\slash"]),
    (copy("in x"), ["x/in -> dir"]),
    (copy("in/ x"), ["x/in -> dir"]),
    (copy("in/. x"), ["x/file", "x/sub/", "x/sub/file"]),
    (copy("in/file x"), ["x/file"]),
    (copy("in/* x"), ["x/file", "x/sub/", "x/sub/file"]),
    (copy("deep/in/file x"), ["x/file"]),
    (copy("d*/in/file x"), ["x/file"]),
    (copy("dangling x"), ["x/dangling -> dir/gone"]),
    (copy("circle x"), ["x/circle -> circle"]),
    (copy("keeps x"), ["x/keeps/", "x/keeps/out -> /etc/passwd"]),
    (copy("keeps/. x"), ["x/out -> /etc/passwd"]),
    (copy("lists x"), ["x/lists/", "x/lists/imageList"]),
    (copy("lists/image* x"), ["x/imageList"]),
]

MISTAKES: list[tuple[CopyRequest, type[ContextError], str]] = [
    (copy("gone x"), SourceNotFoundError, "'gone' matches nothing"),
    (copy("gone/file x"), SourceNotFoundError, "matches nothing"),
    (copy("file/file x"), SourceNotFoundError, "matches nothing"),
    (copy("file gone x"), SourceNotFoundError, "'gone' matches nothing"),
    (copy("*.zip x"), SourceNotFoundError, "matches nothing"),
    (copy("[a x"), SourceNotFoundError, "matches nothing"),
    (copy("file/. x"), SourceNotFoundError, "inside 'file', which is no folder"),
    (copy("dangling/. x"), SourceNotFoundError, "matches nothing"),
    (copy("circle/file x"), SourceNotFoundError, "matches nothing"),
    (CopyRequest(("",), "x"), SourceNotFoundError, "found ''"),
    (CopyRequest(("a\0b",), "x"), SourceNotFoundError, "found"),
    (CopyRequest(("a\udcffb",), "x"), SourceNotFoundError, "found"),
    (CopyRequest(("n" * 300,), "x"), SourceNotFoundError, "matches nothing"),
    (copy("../x x"), SourceEscapeError, "'../x' leads out"),
    (copy("dir/../../x x"), SourceEscapeError, "leads out"),
    (copy("out x"), SourceEscapeError, "'out' points to '../elsewhere'"),
    (copy("absolute x"), SourceEscapeError, "'absolute' points to '/etc'"),
    (copy("absolute/passwd x"), SourceEscapeError, "leads out"),
    (copy("absolute/. x"), SourceEscapeError, "leads out"),
    (copy("late x"), SourceEscapeError, "leads out"),
    (copy("chain x"), SourceEscapeError, "leads out"),
    (copy("o?t x"), SourceEscapeError, "leads out"),
    (copy("keeps/* x"), SourceEscapeError, "leads out"),
    (copy("dev x"), UnsupportedSourceError, "'dev/.wh.gone'"),
    (copy("dev/.wh.gone x"), UnsupportedSourceError, "marks a deletion"),
    (copy("bad x"), UnsupportedSourceError, "'bad/socket': a socket"),
    (copy("imageListWithAuth.yaml x"), SourceNotFoundError, "left out: 'imageListWithAuth.yaml', since it holds"),
    (copy("lists/*Auth* x"), SourceNotFoundError, "left out"),
    (exactly("file lists/imageListWithAuth.yaml"), DestinationError, "no layer ever has"),
    (copy("file .."), DestinationError, "'..' leaves the image root"),
    (copy("file ../../x"), DestinationError, "leaves the image root"),
    (copy("file /../x"), DestinationError, "leaves the image root"),
    (copy("file a/../../x"), DestinationError, "leaves the image root"),
    (copy("file .wh.x"), DestinationError, "marks a deletion"),
    (copy("file x/.wh..wh..opq/y"), DestinationError, "marks a deletion"),
    (CopyRequest(("file",), ""), DestinationError, "found ''"),
    (CopyRequest(("file",), "a\0b"), DestinationError, "found"),
    (CopyRequest(("file",), "a\ud800"), DestinationError, "found"),
    (exactly("file ."), DestinationError, "image root, which is a directory"),
    (exactly("file dir/file x"), DestinationError, "found 2: 'file', 'dir/file'"),
    (exactly("d* x"), DestinationError, "--exact places one source"),
    (copy("dir/sub other/sub x"), DestinationError, "directory 'dir/sub' and the file 'other/sub' both at 'x/sub'"),
    (copy("other/sub dir/sub x"), DestinationError, "file 'other/sub' and the directory 'dir/sub'"),
    (copy("dir/. other/. x"), DestinationError, "both at 'x/sub'"),
]

IGNORING: Files = {
    ".kubeignore": "# what stays here\n*.log\n\nbuild/\n!build/keep\n/secret*\n!important.log\nlogs/*\n!logs/keep\n",
    "a.log": "",
    "important.log": "",
    "app/b.log": "",
    "app/main": "",
    "build/keep": "",
    "logs/keep": "",
    "logs/drop": "",
    "secrets/x": "",
    "app/secrets/x": "",
    "to-build": Symlink("build"),
    "to-app": Symlink("app"),
}


IGNORED: list[tuple[CopyRequest, list[str]]] = [
    (
        copy(". ."),
        [
            ".kubeignore",
            "app/",
            "app/main",
            "app/secrets/",
            "app/secrets/x",
            "important.log",
            "logs/",
            "logs/keep",
            "to-app -> app",
            "to-build -> build",
        ],
    ),
    (copy("app x"), ["x/app/", "x/app/main", "x/app/secrets/", "x/app/secrets/x"]),
    (copy("*.log x"), ["x/important.log"]),
    (copy("*.log important.log"), ["important.log"]),
    (copy("to-app/. x"), ["x/main", "x/secrets/", "x/secrets/x"]),
    (copy("*/keep x"), ["x/keep"]),
    (copy("to-build x"), ["x/to-build -> build"]),
]

IGNORING_LINES: list[tuple[str, str]] = [
    ("a.log", "'a.log' by line 2 of .kubeignore, '*.log'"),
    ("app/b.log", "'app/b.log' by line 2 of .kubeignore"),
    ("app/*.log", "'app/b.log' by line 2 of .kubeignore"),
    ("build", "'build' by line 4 of .kubeignore, 'build/'"),
    ("build/keep", "'build' by line 4 of .kubeignore"),
    ("build/.", "'build' by line 4 of .kubeignore"),
    ("to-build/keep", "'build' by line 4 of .kubeignore"),
    ("secrets/x", "'secrets' by line 6 of .kubeignore, '/secret*'"),
]
