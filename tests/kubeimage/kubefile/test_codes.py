from kubeimage.kubefile import CODES, Advice, Mistake


def test_no_two_kinds_share_a_code() -> None:
    assert len(CODES) == len(Mistake) + len(Advice)


def test_mistakes_and_advice_are_told_apart_by_their_codes() -> None:
    assert all(code.startswith("E02") for code in (mistake.code for mistake in Mistake))
    assert all(code.startswith("W") for code in (advice.code for advice in Advice))
