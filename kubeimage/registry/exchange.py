"""One request to its end: it is authorized, redirects are followed, and what failed by chance is tried again.

Credentials are bound to the registry's own origin. A redirect to anywhere else is followed without them.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

from kubeimage._version import __version__
from kubeimage.errors import (
    RegistryAuthError,
    RegistryConnectionError,
    RegistryContentError,
    RegistryError,
    RegistryNotFoundError,
)
from kubeimage.image import canonical
from kubeimage.registry.auth import Authenticator, Scopes
from kubeimage.registry.credentials import DOCKER_HUB, Credentials
from kubeimage.registry.http import HttpTransport, Response
from kubeimage.registry.messages import Request, parse_count
from kubeimage.registry.origin import Origin, origin_of
from kubeimage.registry.pace import Pace
from kubeimage.settings import Settings

USER_AGENT = f"kubeimage/{__version__}"

_MOST_REDIRECTS = 5
_LONGEST_ERROR = 1 << 16
_PASSING = {408, 429, 500, 502, 503, 504}
_REDIRECTS = {301, 302, 303, 307, 308}
_KEEP_METHOD = {307, 308}


class Retry(NamedTuple):
    """How often to try, and how long to wait in between: twice as long each time, by chance up to half less.

    Units: seconds; ``patience`` is the longest wait that a registry may ask for.
    """

    attempts: int = 5
    first: float = 0.5
    longest: float = 20
    patience: float = 120
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random

    def wait(self, attempt: int, asked: float | None = None) -> None:
        """Wait before the next attempt; ``attempt`` counts those that failed."""
        delay = min(self.first * 2 ** (attempt - 1), self.longest)
        self.sleep(max(delay * (1 - self.chance() / 2), asked or 0.0))


class Exchange:
    """Talks to one registry; any number of threads may use it."""

    def __init__(
        self,
        host: str,
        settings: Settings,
        transport: HttpTransport,
        credentials: Callable[[], Credentials | None],
        retry: Retry | None = None,
        *,
        pace: Pace | None = None,
    ) -> None:
        self.host = host
        self.retry = retry or Retry()
        self._pace = pace or Pace()
        self._settings = settings
        self._transport = transport
        self._base: str | None = None
        self._lock = threading.Lock()
        self._auth = Authenticator(host, credentials, self._send_once, self._check_realm)

    def url(self, path: str) -> str:
        """Return the whole address of ``/v2/`` and so on.

        Raises: RegistryConnectionError where it must be found out how to reach the registry, and nobody is there.
        """
        with self._lock:
            if self._base is None:
                self._base = self._find_base()
        return self._base + path

    def call(
        self,
        request: Request,
        scopes: Scopes = (),
        *,
        wanted: tuple[int, ...] = (200,),
        attempts: int | None = None,
    ) -> Response:
        """Send ``request`` until there is an answer with a wanted status, and give that; ``attempts`` are the most.

        Raises: RegistryError and its kinds, which tell what the registry said.
        """
        failed, most = 0, attempts or self.retry.attempts
        while True:
            if not failed and (left := self._pace.left()):
                # Somebody else was told that this registry wants fewer requests.
                self.retry.sleep(left)
            try:
                response = self._follow(request, scopes)
                if response.status in wanted:
                    return response
                error, asked = _read_error(response, self.host), _retry_after(response)
            except RegistryError as failure:
                error, asked = failure, None
            failed += 1
            if not may_pass(error) or failed >= most or (asked or 0) > self.retry.patience:
                raise error
            if asked:
                self._pace.hold(asked)
            self.retry.wait(failed, asked)

    def _follow(self, request: Request, scopes: Scopes) -> Response:
        home = origin_of(self.url("/"))
        for _ in range(_MOST_REDIRECTS + 1):
            response = self._send_authorized(request, scopes) if request.origin == home else self._send_once(request)
            is_redirect = response.status in _REDIRECTS and "Location" in response.headers
            if not is_redirect or not _can_repeat(request):
                return response
            with response:
                request = self._redirected(request, response)
                response.drain()
        raise RegistryError(f"{self.host} redirects in a circle: {request.shown}")

    def _send_authorized(self, request: Request, scopes: Scopes) -> Response:
        sent = self._auth.authorization(scopes)
        response = self._send_once(_with_authorization(request, sent))
        if response.status != 401 or not _can_repeat(request):
            return response
        try:
            answer = self._auth.accept(response, scopes, sent)
        except BaseException:
            response.close()
            raise
        if answer is None:
            return response
        response.drain()
        # One answer to one refusal: whoever refuses that as well has refused.
        return self._send_once(_with_authorization(request, answer))

    def _send_once(self, request: Request) -> Response:
        return self._transport.send(request._replace(headers={"User-Agent": USER_AGENT, **request.headers}))

    def _redirected(self, request: Request, response: Response) -> Request:
        url = self.resolve(request, response.headers["Location"])
        if response.status not in _KEEP_METHOD and request.method not in ("GET", "HEAD"):
            return request._replace(method="GET", url=url, body=None)
        return request._replace(url=url)

    def resolve(self, request: Request, location: str) -> str:
        """Return the address that a Location header means.

        Raises: RegistryError for one that is not to be followed.
        """
        try:
            url: str = urljoin(request.url, location)
            origin = origin_of(url)
        except ValueError:
            # Not all of it is shown, for it may hold a signature.
            shown = location.partition("?")[0][:60]
            raise RegistryError(
                f"{self.host} leads to an address that is not followed: {request.shown} -> {shown!r}"
            ) from None
        if origin.scheme == "http" and request.origin.scheme == "https":
            if urlsplit(url).netloc == urlsplit(request.url).netloc:
                # A registry behind a proxy that does not know that it is reached by TLS.
                return f"https{url.removeprefix('http')}"
            self._check_clear(origin)
        return url

    def _check_clear(self, origin: Origin) -> None:
        settings = self._settings.host(str(origin))
        if not (settings.insecure or settings.plain_http):
            raise RegistryError(
                f"{self.host} leads to {origin} without TLS", hint=f"if that is meant, name it: --insecure {origin}"
            )

    def _check_realm(self, realm: str) -> None:
        try:
            origin = origin_of(realm)
        except ValueError:
            raise RegistryError(
                f"{self.host} says that tokens are made at a place that is none: {realm[:100]!r}"
            ) from None
        if origin.scheme == "http" and origin != origin_of(self.url("/")):
            self._check_clear(origin)

    def _find_base(self) -> str:
        host = _API_HOSTS.get(self.host, self.host)
        settings = self._settings.host(self.host)
        secure = f"https://{host}"
        if settings.plain_http or (settings.insecure and not self._transport.speaks_tls(origin_of(secure))):
            return f"http://{host}"
        return secure


def may_pass(error: RegistryError) -> bool:
    """Whether the same request may succeed a little later."""
    return error.status in _PASSING or (isinstance(error, RegistryConnectionError) and error.transient)


# Docker Hub's name is not where its API is.
_API_HOSTS = dict.fromkeys(DOCKER_HUB, "registry-1.docker.io")


def _can_repeat(request: Request) -> bool:
    """Whether the request can be sent once more: not one whose body is made while it is sent."""
    return request.body is None or request.body.size is not None


def _with_authorization(request: Request, value: str | None) -> Request:
    return request if value is None else request._replace(headers={**request.headers, "Authorization": value})


def _retry_after(response: Response) -> float | None:
    text = response.headers.get("Retry-After", "").strip()
    seconds = parse_count(text)
    if seconds is not None:
        return float(seconds)
    try:
        return max(parsedate_to_datetime(text).timestamp() - time.time(), 0.0) if text else None
    except (ValueError, TypeError, OverflowError):
        return None


def _read_error(response: Response, host: str) -> RegistryError:
    """Make an error of an answer, with what the registry says about it."""
    codes, said = _read_codes(response)
    status = response.status
    message = f"{host} refuses {response.request.shown}: {status} {said or ''}".rstrip()
    hint: str | None
    if status in (401, 403):
        hint = f"log in: kubeimage login {host}" if status == 401 else "the account may lack the right to do that"
        return RegistryAuthError(message, status=status, codes=codes, hint=hint)
    if status == 404:
        return RegistryNotFoundError(message, status=status, codes=codes)
    hint = "it asks for fewer requests; try again later" if status == 429 else None
    return RegistryError(message, status=status, codes=codes, hint=hint)


def _read_codes(response: Response) -> tuple[list[str], str]:
    """Read the error document of the distribution-spec; many answers have none."""
    try:
        data = response.read(_LONGEST_ERROR)
        errors = canonical.loads(data)["errors"]
        codes = [str(one["code"]) for one in errors]
        said = "; ".join(f"{one['code']}: {one.get('message') or ''}".rstrip(": ") for one in errors)
        return codes, said[:500]
    except (RegistryContentError, RegistryConnectionError, ValueError, KeyError, TypeError, AttributeError):
        return [], ""
    finally:
        response.close()
