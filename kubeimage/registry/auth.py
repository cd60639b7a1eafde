"""Logging in: what a registry asks for with a 401, and the tokens that it then gives.

Source: RFC 7235 for challenges; distribution's "Token Authentication" and "OAuth2 Token Authentication".
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from kubeimage._version import __version__
from kubeimage.errors import RegistryAuthError, RegistryError
from kubeimage.image import canonical
from kubeimage.registry.credentials import Credentials
from kubeimage.registry.http import Response
from kubeimage.registry.messages import Body, Request

_LONGEST_ANSWER = 1 << 20
_SHORTEST_LIFE = 60.0
_MARGIN = 15.0
_CHALLENGE = re.compile(r"(?:^|,)\s*(?P<scheme>[A-Za-z]+)\s+(?=[A-Za-z_]+\s*=)|(?:^|,)\s*(?P<bare>[A-Za-z]+)\s*(?=,|$)")
_PARAMETER = re.compile(r'([A-Za-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))')

Scopes = tuple[str, ...]


class Challenge(NamedTuple):
    """One way to log in that a registry offers. Shape: ``scheme`` is in lower case."""

    scheme: str
    realm: str = ""
    service: str = ""
    scope: str = ""


class _Token(NamedTuple):
    value: str
    ends: float


def parse_challenges(headers: Sequence[str]) -> list[Challenge]:
    """Read the values of WWW-Authenticate headers; what is not understood is left out."""
    found = []
    for header in headers:
        starts = list(_CHALLENGE.finditer(header))
        ends = [*(start.start() for start in starts[1:]), len(header)]
        for start, end in zip(starts, ends, strict=False):
            text = header[start.end() : end]
            parameters = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(text)}
            known = {key: parameters.get(key, "") for key in ("realm", "service", "scope")}
            found.append(Challenge((start["scheme"] or start["bare"]).lower(), **known))
    return found


def pull_scope(repository: str) -> str:
    """Return the scope for reading a repository."""
    return f"repository:{repository}:pull"


def push_scope(repository: str) -> str:
    """Return the scope for reading and writing a repository."""
    return f"repository:{repository}:pull,push"


class Authenticator:
    """Logs in at one registry; any number of threads may use it.

    ``send`` sends a request as it is, following no redirect; ``check_realm`` raises for a place where no password goes.
    """

    def __init__(
        self,
        host: str,
        credentials: Callable[[], Credentials | None],
        send: Callable[[Request], Response],
        check_realm: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host = host
        self._find_credentials = credentials
        self._send = send
        self._check_realm = check_realm
        self._clock = clock
        self._lock = threading.Lock()
        self._challenge: Challenge | None = None
        self._tokens: dict[Scopes, _Token] = {}
        self._known: list[Credentials | None] = []

    def authorization(self, scopes: Scopes) -> str | None:
        """Return the Authorization header for a request, as far as it is known what the registry wants.

        Raises: RegistryError, CredentialsError.
        """
        with self._lock:
            return None if self._challenge is None else self._answer(self._challenge, scopes)

    def accept(self, response: Response, scopes: Scopes, sent: str | None) -> str | None:
        """Answer a 401: give a header to try again with, None where there is nothing that was not tried.

        ``sent`` is the header that was refused.
        Raises: RegistryError, CredentialsError.
        """
        offers = {one.scheme: one for one in parse_challenges(response.headers.get_all("WWW-Authenticate") or [])}
        challenge = offers.get("bearer") or offers.get("basic")
        if challenge is None:
            return None
        with self._lock:
            self._challenge = challenge
            held = self._tokens.get(scopes)
            if held is not None and sent == f"Bearer {held.value}":
                del self._tokens[scopes]
            answer = self._answer(challenge, scopes)
        return answer if answer != sent else None

    def _answer(self, challenge: Challenge, scopes: Scopes) -> str | None:
        if challenge.scheme == "basic":
            credentials = self._credentials
            return credentials.basic if credentials is not None and credentials.user else None
        token = self._tokens.get(scopes)
        if token is None or token.ends < self._clock():
            token = self._tokens[scopes] = self._fetch(challenge, scopes or tuple(challenge.scope.split()))
        return f"Bearer {token.value}"

    @property
    def _credentials(self) -> Credentials | None:
        """The credentials, looked for when they are first needed, and once."""
        if not self._known:
            self._known.append(self._find_credentials())
        return self._known[0]

    def _fetch(self, challenge: Challenge, scopes: Scopes) -> _Token:
        self._check_realm(challenge.realm)
        with self._send(self._token_request(challenge, scopes)) as response:
            if response.status in (400, 401, 403):
                who = f"for {self._credentials.user or 'the token'}" if self._credentials else "without credentials"
                raise RegistryAuthError(
                    f"{self._host} gives no token {who} ({response.status})",
                    status=response.status,
                    hint=f"log in: kubeimage login {self._host}",
                )
            if response.status != 200:
                raise RegistryError(
                    f"{self._host} could not make a token: {response.request.shown} answered {response.status}",
                    status=response.status,
                )
            return self._read_token(response.read(_LONGEST_ANSWER))

    def _token_request(self, challenge: Challenge, scopes: Scopes) -> Request:
        credentials = self._credentials
        if credentials is not None and credentials.identity_token:
            form = {
                "grant_type": "refresh_token",
                "refresh_token": credentials.identity_token,
                "service": challenge.service,
                "scope": " ".join(scopes),
                "client_id": f"kubeimage/{__version__}",
            }
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            return Request("POST", challenge.realm, headers, Body.of(urlencode(form).encode()))
        query = [("service", challenge.service)] if challenge.service else []
        query += [("scope", scope) for scope in scopes]
        glue = "&" if urlsplit(challenge.realm).query else "?"
        url = f"{challenge.realm}{glue}{urlencode(query)}" if query else challenge.realm
        return Request("GET", url, {} if credentials is None else {"Authorization": credentials.basic})

    def _read_token(self, data: bytes) -> _Token:
        try:
            answer: dict[str, Any] = canonical.loads(data)
            value = answer.get("token") or answer.get("access_token")
            life = float(answer.get("expires_in") or _SHORTEST_LIFE)
        except (ValueError, TypeError, AttributeError, OverflowError):
            value, life = None, 0.0
        if not isinstance(value, str) or not value.isprintable():
            # The answer may hold a token, so it is not shown.
            raise RegistryError(f"{self._host} gave a token that is not understood")
        return _Token(value, self._clock() + max(life, _SHORTEST_LIFE) - _MARGIN)
