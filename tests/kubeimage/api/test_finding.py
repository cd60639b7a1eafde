import pytest

from kubeimage.api.finding import parse_name
from kubeimage.errors import ReferenceFormatError
from kubeimage.image.reference import Naming


def test_a_digest_cannot_be_given_as_a_name() -> None:
    with pytest.raises(ReferenceFormatError, match="--tag takes a name, found one with a digest"):
        parse_name(f"app@sha256:{'0' * 64}", Naming(), what="--tag")
