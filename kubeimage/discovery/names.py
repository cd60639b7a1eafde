"""What in a text reads as an image's name, wherever it stands: the reader that looks at everything.

Four forms are told apart by what they are written with:

    HOST     ``quay.io/team/app:1.2``, ``localhost:5000/app:1``, and anything with a digest
    PATH     ``team/app:1.2``: it may be a name as well as a service with its port
    WORD     ``nginx:1.25``: it may be a name as well as a host with its port
    MARKED   a name with a template's mark or a variable in it

Source: distribution's reference grammar for what a name is made of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from kubeimage.discovery.references import parse_image
from kubeimage.errors import ReferenceFormatError


class Form(Enum):
    """How a name is written."""

    HOST = "host"
    PATH = "path"
    WORD = "word"
    MARKED = "marked"


class Token(NamedTuple):
    """A part of a text that reads as a name.

    Shape: ``address`` says that it stands behind a scheme such as ``https://``.
    """

    text: str
    form: Form
    address: bool = False


_MARK = "\ue000"
_MARKS = re.compile(
    r"\{\{[^{}]*\}\}|\$\{\{[^{}]*\}\}|\$\{[^{}]*\}|\$\([^()]*\)|\$[A-Za-z_]\w*|\$[0-9@*]|<[A-Za-z][\w -]*>"
    r"|%[sdvq]|%\(\w+\)s"
)
_HAS_MARK = re.compile(r"\{\{|\$[\w{(@*]|<[A-Za-z]|%[sdvq(]")
# Letters of Chinese, Japanese and Korean text end a name as blanks do: they are written without blanks.
_WORDS = re.compile(
    r"(?:\[[0-9A-Fa-f:]{2,}\](?=[:/]))?"
    r"[^\s\"'`,;=|<>(){}\[\]\\&!*#^~?$\u2e80-\u9fff\uac00-\ud7af\uff00-\uffef]+"
)
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9+._-]*:[0-9A-Za-z]+")
_BARE_DIGEST = re.compile(r"sha[0-9]+:[0-9a-f]*")
_IMAGE_SCHEMES = frozenset({"docker", "docker-daemon", "docker-pullable", "container", "containers-storage", "image"})
_VERSION = re.compile(r"v?[0-9]+[.\w-]*[.A-Za-z_-][.\w-]*|v[0-9]+|[a-z]+[.-]?v?[0-9][\w.-]*", re.IGNORECASE)
_WORD_TAGS = frozenset(
    [
        "latest",
        "stable",
        "edge",
        "main",
        "master",
        "nightly",
        "dev",
        "alpine",
        "slim",
        "debug",
        "canary",
        "beta",
        "release",
        "lts",
    ]
)
_LABEL = "a label or annotation, not an image"
_TAINTS = frozenset({"NoSchedule", "PreferNoSchedule", "NoExecute"})
_API_VERSION = re.compile(r"v[0-9]+(?:(?:alpha|beta)[0-9]+)?")
_REGISTRY_HOSTS = frozenset({"registry.k8s.io", "k8s.gcr.io", "gcr.k8s.io"})
# What stands before labels, annotations and resources' names of projects that keep no images under that host.
_LABEL_HOSTS = frozenset(
    [
        "helm.sh",
        "karpenter.sh",
        "cert-manager.io",
        "cloud.google.com",
        "eks.amazonaws.com",
        "nvidia.com",
        "amd.com",
        "istio.io",
        "cilium.io",
        "argoproj.io",
    ]
)
# Where source code and files are: image names that begin so are those of other hosts.
_OTHER_HOSTS = frozenset(
    [
        "github.com",
        "bitbucket.org",
        "golang.org",
        "pkg.go.dev",
        "gopkg.in",
        "s3.amazonaws.com",
        "storage.googleapis.com",
    ]
)
_WELL_KNOWN = frozenset(
    [
        "docker.io",
        "index.docker.io",
        "registry.hub.docker.com",
        "quay.io",
        "ghcr.io",
        "gcr.io",
        "us.gcr.io",
        "eu.gcr.io",
        "asia.gcr.io",
        "k8s.gcr.io",
        "registry.k8s.io",
        "mcr.microsoft.com",
        "public.ecr.aws",
        "nvcr.io",
        "docker.elastic.co",
        "registry.access.redhat.com",
        "registry.redhat.io",
        "registry.gitlab.com",
        "lscr.io",
        "cgr.dev",
        "xpkg.upbound.io",
        "registry-1.docker.io",
    ]
)
_WELL_KNOWN_ENDS = (".azurecr.io", ".pkg.dev", ".aliyuncs.com", ".amazonaws.com", ".gcr.io")
_WEB_PORTS = frozenset({"22", "25", "53", "80"})


def may_hold_names(text: str) -> bool:
    """Whether a text has what a name with a slash or digest is written with: a look that costs little."""
    return (":" in text and "/" in text) or "@" in text


def iter_tokens(text: str) -> Iterator[Token]:
    """Yield the parts of ``text`` that read as names with a slash or digest, and those within a template's marks."""
    if not may_hold_names(text):
        return
    if _HAS_MARK.search(text):
        for mark in _MARKS.finditer(text):
            # A default stands within the marks: ${IMAGE:-quay.io/team/app:1}.
            yield from _tokens(mark[0][2:])
        text = _MARKS.sub(_MARK, text)
    yield from _tokens(text)


def read_token(word: str) -> Token | None:
    """Return what one word reads as, without what surrounds the name; None where that is nothing."""
    word = word.rstrip(".:,-@+/%")
    if word.startswith(("/", ".", "~")):
        return None
    word, address = word.lstrip("-:@+%"), False
    scheme, separator, rest = word.partition("://")
    if separator:
        address = scheme.rpartition(":")[2].lower() not in _IMAGE_SCHEMES
        word = rest
    word = _without_prefix(word)
    form = _form_of(word)
    if form is None or _BARE_DIGEST.fullmatch(word) or (_MARK in word and (form is Form.WORD or address)):
        return None
    if _MARK in word:
        return Token(word.replace(_MARK, "…"), Form.MARKED) if _says_something(word) else None
    return Token(word, form, address)


def why_no_image(token: Token) -> str | None:
    """Return the reason why a token that stands anywhere is surely no image; None where it may be one."""
    if token.form is Form.MARKED:
        return TEMPLATE
    if token.address:
        return "a web address, not an image"
    host, _, path = token.text.partition("/")
    repository, _, tag = path.partition(":")
    if tag.rstrip("-") in _TAINTS:
        return "a taint, not an image"
    if host.endswith(("kubernetes.io", "k8s.io")) and host not in _REGISTRY_HOSTS:
        return _LABEL
    if host in _LABEL_HOSTS:
        return _LABEL
    if host in _OTHER_HOSTS:
        return "a place of source code or files, not of images"
    if _API_VERSION.fullmatch(repository) and "@" not in token.text:
        return "an API version, not an image"
    return None


TEMPLATE = "a template or variable, not a name"
"""Why a name with a template's marks is passed over."""


def is_versioned(text: str) -> bool:
    """Whether a name's tag is what versions look like: with a digit and something beside digits, or a usual word."""
    if "@" in text:
        return True
    tag = text.rpartition("/")[2].partition(":")[2]
    return tag.lower() in _WORD_TAGS or _VERSION.fullmatch(tag) is not None


def has_small_number(text: str) -> bool:
    """Whether a name's tag is a number that is more likely a version than a port."""
    tag = text.rpartition("/")[2].partition(":")[2]
    return tag.isascii() and tag.isdigit() and len(tag) <= 2 and tag not in _WEB_PORTS


def is_well_known(text: str) -> bool:
    """Whether a name begins with the host of a registry that everybody knows."""
    host, slash, path = text.partition("/")
    return bool(slash and path) and (host in _WELL_KNOWN or host.endswith(_WELL_KNOWN_ENDS))


def suggest(text: str) -> str | None:
    """Return the name that was probably meant by a text that is none."""
    bare = re.sub(r"^[a-z+-]+://", "", text.strip().strip("\"'").strip(), flags=re.IGNORECASE).strip("/")
    parted = re.sub(r"(?<=\w)\s+(?=[\w.-]+$)", ":", bare)
    joined = re.sub(r"\s+", "", bare)
    for one in (bare, parted, joined if bare.count(":") < 2 else ""):
        head, at, digest = one.partition("@")
        path, colon, tag = head.rpartition(":") if ":" in head.rpartition("/")[2] else (head, "", "")
        first_tag = path.rpartition("/")[2].partition(":")[2]
        lower = path.lower() + colon + tag
        for candidate in (one, lower + at + digest, lower, path.lower() if first_tag else ""):
            if candidate and candidate != text and _is_name(candidate):
                return candidate
    return None


def _is_name(text: str) -> bool:
    try:
        parse_image(text)
    except ReferenceFormatError:
        return False
    return True


def _tokens(text: str) -> Iterator[Token]:
    for word in _WORDS.findall(text):
        if ":" in word and ("/" in word or "@" in word):
            token = read_token(word)
            if token is not None and token.form is not Form.WORD:
                yield token


def _without_prefix(word: str) -> str:
    """Take off what is glued to a name in front: ``image:``, ``4.2.0:``, ``docker-archive:FILE@``."""
    for _ in range(word.count(":") + word.count("@")):
        head, slash, _ = word.partition("/")
        left, at, right = word.partition("@")
        if at and not (left and _DIGEST.fullmatch(right)) and "/" in right:
            word = right.lstrip("-:")
            continue
        _, colon, port = head.partition(":")
        if not (slash and colon) or head.startswith("[") or port.isdigit() or port == _MARK:
            return word
        word = word.partition(":")[2].lstrip("-:/")
    return word


def _form_of(word: str) -> Form | None:
    name, at, digest = word.partition("@")
    if at and name and _DIGEST.fullmatch(digest):
        return Form.HOST
    head, slash, _ = name.partition("/")
    last = name.rpartition("/")[2]
    base, _, tag = last.partition(":")
    if not (base and tag):
        return None
    if not slash:
        return Form.WORD
    return Form.HOST if any(char in head for char in ".:[") or head == "localhost" else Form.PATH


def _says_something(word: str) -> bool:
    """Whether what is written beside the marks is more than punctuation."""
    name, _, tag = word.rpartition(":")
    return any(char.isalnum() for char in name.replace(_MARK, "")) or any(char.isdigit() for char in tag)
