"""A registry that wants fewer requests is left alone by all who ask it."""

from harness.fakes.registry import FakeRegistry, Status
from kubeimage.registry.exchange import Exchange, Retry
from kubeimage.registry.http import HttpTransport
from kubeimage.registry.messages import Request
from kubeimage.registry.pace import Pace
from kubeimage.registry.tls import Trust
from kubeimage.settings import HostSettings, Settings


def test_a_pace_ends_when_its_time_is_over() -> None:
    now = [100.0]
    pace = Pace(lambda: now[0])

    pace.hold(7)
    pace.hold(3)

    assert pace.left() == 7
    now[0] = 107.5
    assert pace.left() == 0


def test_what_one_was_told_holds_for_the_others(fake_registry: FakeRegistry) -> None:
    fake_registry.on("GET /v2/", Status(429, retry_after=9))
    settings = Settings(hosts={fake_registry.host: HostSettings(plain_http=True)})
    transport, pace, waits = HttpTransport(Trust(settings)), Pace(lambda: 0.0), list[float]()
    retry = Retry(sleep=waits.append, chance=lambda: 0.0)
    one, other = (Exchange(fake_registry.host, settings, transport, lambda: None, retry, pace=pace) for _ in range(2))

    for exchange in (one, other):
        with exchange.call(Request("GET", exchange.url("/v2/"))) as response:
            response.drain()
    transport.close()

    assert waits == [9.0, 9.0]
