"""Who we are, for each registry: read from and written to the Docker config file, which other tools share.

Looked for in $REGISTRY_AUTH_FILE, else in $DOCKER_CONFIG/config.json or ~/.docker/config.json, and then, for reading
only, in $XDG_RUNTIME_DIR/containers/auth.json. All that is not ours to change stays as it is.

Source: docker/cli, "docker login", "Credential stores"; containers-auth.json(5).
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from kubeimage.disk.replacing import replace_file
from kubeimage.errors import CredentialsError
from kubeimage.framing import check_line
from kubeimage.image import canonical

if TYPE_CHECKING:
    from kubeimage.registry.helper import CredentialHelper

DOCKER_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")
"""The names of Docker Hub, which has one account."""

_HUB_KEY = "https://index.docker.io/v1/"
_TOKEN_USER = "<token>"  # noqa: S105  the name that says that the secret is a token


class Credentials(NamedTuple):
    """A user name and password, or an identity token. Its ``repr`` tells no secret."""

    user: str = ""
    password: str = ""
    identity_token: str = ""

    def __repr__(self) -> str:
        return f"Credentials({self.user!r}, ...)"

    @property
    def basic(self) -> str:
        """The value of an Authorization header.

        Raises: CredentialsError for a user name that would end at its colon.
        """
        if ":" in self.user:
            raise CredentialsError(f"a user name holds no colon, found {self.user!r}")
        return f"Basic {_encode(self)}"


class CredentialStore:
    """The credentials of this user."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment

    def get(self, host: str, repository: str = "") -> Credentials | None:
        """Return the credentials for a registry, or for the longest part of the repository's name that has some.

        Raises: CredentialsError.
        """
        for path in (self.path, *self._read_only_paths()):
            found = _find(_read(path), path, host, repository)
            if found is not None:
                return found
        return None

    def put(self, host: str, credentials: Credentials) -> str:
        """Keep the credentials for a registry, and give the place: the file, or the helper that keeps them.

        Raises: CredentialsError; then the file is as it was.
        """
        check_line(host, "the name of a registry")
        key = _key(host)
        with _changing(self.path) as config:
            auths = _table(config, "auths", self.path)
            helper = _helper(config, self.path, host)
            if helper is None:
                config["auths"] = {**auths, key: _entry(credentials)}
                return self.path
            helper.store(
                key,
                _TOKEN_USER if credentials.identity_token else credentials.user,
                credentials.identity_token or credentials.password,
            )
            # Docker lists here for whom the helper keeps something.
            config["auths"] = {**auths, key: {}}
            return helper.program

    def delete(self, host: str) -> bool:
        """Forget the credentials for a registry; whether there were any.

        Raises: CredentialsError; then the file is as it was.
        """
        with _changing(self.path) as config:
            auths = _table(config, "auths", self.path)
            found = [name for name in _names(host) if name in auths]
            if found:
                config["auths"] = {name: entry for name, entry in auths.items() if name not in found}
            helper = _helper(config, self.path, host)
            if helper is not None:
                return helper.erase(_key(host)) or bool(found)
            return bool(found)

    @property
    def path(self) -> str:
        """The file that is written."""
        if chosen := self._environment.get("REGISTRY_AUTH_FILE"):
            return os.path.abspath(chosen)
        folder = self._environment.get("DOCKER_CONFIG") or os.path.join(os.path.expanduser("~"), ".docker")
        return os.path.join(os.path.abspath(folder), "config.json")

    def _read_only_paths(self) -> Iterator[str]:
        runtime = self._environment.get("XDG_RUNTIME_DIR")
        if runtime and not self._environment.get("REGISTRY_AUTH_FILE"):
            yield os.path.join(runtime, "containers", "auth.json")


def _find(config: dict[str, Any], path: str, host: str, repository: str) -> Credentials | None:
    helper = _helper(config, path, host)
    if helper is not None:
        found = helper.get(_key(host))
        if found is not None:
            user, secret = found
            return Credentials(identity_token=secret) if user == _TOKEN_USER else Credentials(user, secret)
    auths = _table(config, "auths", path)
    parts = repository.split("/") if repository else []
    longer = ["/".join((host, *parts[:count])) for count in range(len(parts), 0, -1)]
    for name in (*longer, *_names(host)):
        entry = auths.get(name)
        if isinstance(entry, dict) and entry:
            found_here = _decode(entry, name, path)
            if found_here is not None:
                return found_here
    return None


def _key(host: str) -> str:
    return _HUB_KEY if host in DOCKER_HUB else host


def _names(host: str) -> list[str]:
    """Return the keys that mean this registry, as old and new tools write them."""
    hosts = DOCKER_HUB if host in DOCKER_HUB else (host,)
    forms = [(scheme, path) for scheme in ("", "https://", "http://") for path in ("", "/", "/v1/", "/v2/")]
    return [_key(host), *(f"{scheme}{one}{path}" for one in hosts for scheme, path in forms)]


def _helper(config: dict[str, Any], path: str, host: str) -> CredentialHelper | None:
    helpers = _table(config, "credHelpers", path)
    name = next((helpers[one] for one in _names(host) if helpers.get(one)), None) or config.get("credsStore")
    if not name:
        return None
    if not isinstance(name, str):
        raise CredentialsError(f"{path} names a credential helper that is no text: {name!r}")
    from kubeimage.registry.helper import CredentialHelper

    return CredentialHelper(name, where=path)


def _entry(credentials: Credentials) -> dict[str, str]:
    if credentials.identity_token:
        return {"auth": _encode(credentials), "identitytoken": credentials.identity_token}
    return {"auth": _encode(credentials)}


def _encode(credentials: Credentials) -> str:
    return base64.b64encode(f"{credentials.user}:{credentials.password}".encode()).decode()


def _decode(entry: dict[str, Any], name: str, path: str) -> Credentials | None:
    user, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if entry.get("auth"):
        try:
            # Whoever made it with `base64` has line breaks in it; Go's decoder, and so Docker's, passes over them.
            text = str(entry["auth"]).replace("\r", "").replace("\n", "")
            user, colon, password = base64.b64decode(text, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            colon = ""
        if not colon:
            raise CredentialsError(
                f"{path}: the credentials for {name} cannot be read", hint=f"log in again: kubeimage login {name}"
            )
    token = str(entry.get("identitytoken") or "")
    return Credentials(user, password.rstrip("\0"), token) if user or token else None


def _table(config: dict[str, Any], key: str, path: str) -> dict[str, Any]:
    table = {} if config.get(key) is None else config[key]
    if not isinstance(table, dict):
        raise CredentialsError(f"{path}: {key!r} is not an object")
    return table


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as stream:
            config = canonical.loads(stream.read() or b"{}")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise CredentialsError(f"cannot read the credentials in {path}: {error.strerror}") from error
    except ValueError:
        raise CredentialsError(f"{path} is not JSON", hint="mend it or move it away, and log in again") from None
    if not isinstance(config, dict):
        raise CredentialsError(f"{path} is not a JSON object", hint="mend it or move it away, and log in again")
    return config


@contextmanager
def _changing(path: str) -> Iterator[dict[str, Any]]:
    """Yield the content of the file to change, and write it back: whole, for this user alone, one process at a time."""
    # Somebody may have put a link there to another place; the link stays.
    target = os.path.realpath(path)
    try:
        with _locked_folder(os.path.dirname(target)):
            config = _read(target)
            before = json.dumps(config)
            yield config
            if json.dumps(config) != before:
                text = json.dumps(config, indent="\t", ensure_ascii=False) + "\n"
                # Nobody else may read it.
                replace_file(target, text.encode(), mode=0o600, durable=True)
    except OSError as error:
        raise CredentialsError(f"cannot write the credentials to {path}: {error.strerror}") from error


@contextmanager
def _locked_folder(folder: str) -> Iterator[None]:
    os.makedirs(folder, 0o700, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
