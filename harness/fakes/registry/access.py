"""Who may do what: everybody, those with a password, or those with a token.

Source: the distribution project's "Token Authentication Specification" and "Token Scope Documentation".
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple
from urllib.parse import parse_qs

from harness.fakes.registry.messages import Request, Response
from harness.fakes.registry.problems import JSON, Problem

Login = Literal["basic", "token"]
TOKEN_PATH = "/token"  # noqa: S105 - a path
SERVICE = "fake-registry"

_ACTIONS = {"GET": ("pull",), "HEAD": ("pull",), "DELETE": ("delete",)}
_PULL_AND_PUSH = ("pull", "push")


class _Grant(NamedTuple):
    user: str
    scopes: frozenset[tuple[str, str]]
    ends: float


@dataclass
class Access:
    """Lets requests through, or not.

    Shape: without ``users`` everybody may do everything. ``realm`` is where tokens are to be fetched, if not here.
    Units: ``lifetime`` of tokens in seconds.
    """

    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    login: Login = "basic"
    anonymous_pull: bool = False
    lifetime: float = 300
    realm: str | None = None
    _grants: dict[str, _Grant] = field(default_factory=dict, repr=False)

    def check(self, request: Request, repository: str | None, *, source: str | None = None) -> None:
        """Check that a request may be answered; ``source`` is one more repository that it reads.

        Raises: Problem with a challenge, where it may not.
        """
        if not self.users:
            return
        actions = _ACTIONS.get(request.method, _PULL_AND_PUSH)
        needed: set[tuple[str | None, str]] = {(repository, action) for action in actions if repository}
        if source is not None:
            needed.add((source, "pull"))
        if not (self._basic(request, actions) if self.login == "basic" else self._bearer(request, needed)):
            raise Problem("UNAUTHORIZED", headers=self.challenge(request, repository))

    def challenge(self, request: Request, repository: str | None) -> dict[str, str]:
        """Return the header that says how to log in."""
        if self.login == "basic":
            return {"www-authenticate": f'Basic realm="{SERVICE}"'}
        parts = [f'realm="{self.realm or request.origin + TOKEN_PATH}"', f'service="{SERVICE}"']
        if repository is not None:
            actions = ",".join(_ACTIONS.get(request.method, _PULL_AND_PUSH))
            parts.append(f'scope="repository:{repository}:{actions}"')
        if request.authorization.startswith("Bearer "):
            known = request.authorization.removeprefix("Bearer ") in self._grants
            parts.append('error="insufficient_scope"' if known else 'error="invalid_token"')
        return {"www-authenticate": "Bearer " + ",".join(parts)}

    def give_token(self, request: Request, body: bytes) -> Response:
        """Answer the token endpoint: GET with a password in the header, or POST with one in the form.

        Raises: Problem for a wrong password, and for none where there is no anonymous pull.
        """
        form = {name: tuple(values) for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
        asked = form if request.method == "POST" else request.query
        user = self._user_of_form(form) if request.method == "POST" else self._user(request)
        if user is None or not (user or self.anonymous_pull or not self.users):
            raise Problem("UNAUTHORIZED", headers={"www-authenticate": f'Basic realm="{SERVICE}"'})
        scopes = frozenset(one for text in asked.get("scope", ()) for one in _scopes(text) if self._may(user, one[1]))
        token = secrets.token_urlsafe(24)
        self._grants[token] = _Grant(user, scopes, time.monotonic() + self.lifetime)
        answer = {"token": token, "access_token": token, "expires_in": int(self.lifetime)}
        return Response(200, {"content-type": JSON}, json.dumps(answer).encode())

    def expire_tokens(self) -> None:
        """Revoke every token that was given until now."""
        self._grants.clear()

    def _may(self, user: str, action: str) -> bool:
        return bool(user) or not self.users or action == "pull"

    def _basic(self, request: Request, actions: tuple[str, ...]) -> bool:
        user = self._user(request)
        return bool(user) or (user == "" and self.anonymous_pull and actions == ("pull",))

    def _bearer(self, request: Request, needed: set[tuple[str | None, str]]) -> bool:
        grant = self._grants.get(request.authorization.removeprefix("Bearer "))
        return grant is not None and grant.ends > time.monotonic() and needed <= grant.scopes

    def _user(self, request: Request) -> str | None:
        """Return who a request comes from: a user, nobody in particular (empty), or somebody with a wrong password."""
        if not request.authorization:
            return ""
        try:
            name, _, password = base64.b64decode(request.authorization.removeprefix("Basic ")).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return self._known(name, password)

    def _user_of_form(self, form: Mapping[str, tuple[str, ...]]) -> str | None:
        return self._known(form.get("username", ("",))[0], form.get("password", ("",))[0])

    def _known(self, name: str, password: str) -> str | None:
        return name if name and self.users.get(name) == password else None


def _scopes(text: str) -> list[tuple[str, str]]:
    """Read ``repository:NAME:ACTION,ACTION``, several of them parted by blanks."""
    found = []
    for scope in text.split():
        kind, _, rest = scope.partition(":")
        name, _, actions = rest.rpartition(":")
        found += [(name, action) for action in actions.split(",") if kind == "repository"]
    return found
