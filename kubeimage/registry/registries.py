"""The registries that one command talks to: their connections, who we are there, and images to and fro."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from kubeimage.errors import RegistryConnectionError, RegistryError
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.image.referrers import NO_REFERRERS, ReferrerChoice
from kubeimage.protocols.transfer import Arrival, Departure, Importer, Lender, WireImage
from kubeimage.registry.client import Repository, check_registry
from kubeimage.registry.connection import Patience
from kubeimage.registry.credentials import DOCKER_HUB, Credentials, CredentialStore
from kubeimage.registry.events import TransferObserver, TransferWarned, one_at_a_time
from kubeimage.registry.exchange import Exchange, Retry
from kubeimage.registry.http import HttpTransport
from kubeimage.registry.pace import Pace
from kubeimage.registry.tls import Trust
from kubeimage.settings import Settings

if TYPE_CHECKING:
    from kubeimage.registry.trusting import PullTrust


class Registries:
    """Talks to registries until it is closed."""

    def __init__(
        self,
        settings: Settings,
        credentials: CredentialStore | None = None,
        *,
        retry: Retry | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._settings = settings
        self._credentials = credentials or CredentialStore()
        self._transport = HttpTransport(Trust(settings), patience)
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._exchanges: dict[tuple[str, str], Exchange] = {}
        self._paces: dict[str, Pace] = {}
        self._retry = retry or Retry(sleep=self._sleep)

    def pull(
        self,
        reference: Reference,
        platforms: Sequence[Platform],
        importer: Importer,
        observe: TransferObserver,
        referrers: ReferrerChoice = NO_REFERRERS,
    ) -> Arrival:
        """Fetch an image, with ``referrers``, from the first of its places that has it, and give it its name.

        Where it has to be signed, its signatures come as well: so it can be judged again without a network.
        Raises: RegistryError, CredentialsError, SettingsError; PlatformMismatchError; TrustError where the policy of
            the settings refuses it; what the importer raises.
        """
        from kubeimage.registry.pull import Pull

        observe = one_at_a_time(observe)
        rule = self._settings.trust.rule_of(reference)
        if rule is not None and rule.require == "signed":
            referrers = referrers.including("signature")

        def pull_from(place: Reference) -> Arrival:
            repository = self.repository(place)
            return Pull(
                repository,
                reference,
                platforms,
                importer,
                observe,
                self.stop,
                referrers,
                self._trust(reference),
            ).run()

        *mirrors, last = self._settings.places(reference)
        for mirror in mirrors:
            try:
                return pull_from(mirror)
            except RegistryError as error:
                if self._stopped.is_set():
                    raise
                observe(TransferWarned(f"the mirror {mirror.domain} is passed over: {error}"))
        return pull_from(last)

    def _trust(self, reference: Reference) -> PullTrust | None:
        if not self._settings.trust:
            return None
        from kubeimage.registry.trusting import PullTrust

        return PullTrust(self._settings.trust, reference, self.sources(reference))

    def push(
        self,
        reference: Reference,
        departure: Departure,
        observe: TransferObserver,
        find_lender: Callable[[], Lender | None] = lambda: None,
    ) -> WireImage:
        """Send an image to where its name says; ``find_lender`` gives who there may lend its blobs.

        Raises: RegistryError, CredentialsError; StoreError where the image is damaged.
        """
        from kubeimage.registry.push import Push

        repository = self.repository(reference, writable=True)
        return Push(
            repository=repository,
            tag=reference.tag,
            departure=departure,
            observe=one_at_a_time(observe),
            stop=self.stop,
            is_stopped=self._stopped.is_set,
            find_lender=find_lender,
        ).run()

    def host(self, reference: Reference) -> str:
        """Return the registry that an image is first looked for at."""
        return self._settings.places(reference)[0].domain

    def sources(self, reference: Reference) -> list[Repository]:
        """Return the repositories that an image can be read from, in the order to try."""
        return [self.repository(place) for place in self._settings.places(reference)]

    def check(self, host: str, credentials: Credentials) -> None:
        """Find out whether a registry takes these credentials.

        Raises: RegistryError and its kinds.
        """
        check_registry(self._exchange(host, credentials=lambda: credentials))

    def stop(self) -> None:
        """End all that runs in other threads: nothing is tried again, and nobody waits for an answer."""
        self._stopped.set()
        self._transport.abort()

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def repository(self, place: Reference, *, writable: bool = False) -> Repository:
        """Return the repository that an image's name lies in."""
        name = place.repository
        if place.domain in DOCKER_HUB and "/" not in name:
            name = f"library/{name}"
        return Repository(self._exchange(place.domain, name), name, writable=writable)

    def _exchange(
        self, host: str, repository: str = "", credentials: Callable[[], Credentials | None] | None = None
    ) -> Exchange:
        if credentials is not None:
            return Exchange(host, self._settings, self._transport, credentials, self._retry)
        with self._lock:
            # Who asks twice is logged in, and need not find out again how the registry is reached.
            known = self._exchanges.get((host, repository))
            if known is None:
                pace = self._paces.setdefault(host, Pace())
                known = Exchange(
                    host,
                    self._settings,
                    self._transport,
                    lambda: self._credentials.get(host, repository),
                    self._retry,
                    pace=pace,
                )
                self._exchanges[host, repository] = known
            return known

    def _sleep(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise RegistryConnectionError("stopped")
