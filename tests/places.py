"""Where an error points."""

from kubeimage.errors import Diagnostic, KubeimageError, Location


def place_of(error: Diagnostic | KubeimageError) -> Location:
    """Return the location of an error that must have one."""
    assert error.location is not None
    return error.location
