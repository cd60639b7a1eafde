from __future__ import annotations

import pytest

from kubeimage.report.seconds import format_seconds


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "0.0 s"),
        (0.44, "0.4 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (192.0, "3 min 12 s"),
        (3599.7, "1 h 0 min"),
        (3900.0, "1 h 5 min"),
    ],
)
def test_durations_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert format_seconds(seconds) == said
