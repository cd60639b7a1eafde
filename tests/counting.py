"""How often a store is opened, a plan is made, FROM is expanded, a build is done."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from kubeimage.api import building
from kubeimage.builder.executor import execute
from kubeimage.builder.planning import make_plan
from kubeimage.kubefile.scope import Visible
from kubeimage.store import Store

OPENED, PLANNED, EXPANDED, BUILT = "store opened", "plan made", "FROM expanded", "built"


def count_calls(patch: Callable[[Any, str, Any], None]) -> Counter[str]:
    """Count from now on; ``patch`` puts a value in the place of an attribute."""
    counts = Counter[str]()

    def counted(what: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            counts[what] += 1
            return real(*arguments, **options)

        return call

    patch(Store, "__init__", counted(OPENED, Store.__init__))
    patch(building, "make_plan", counted(PLANNED, make_plan))
    patch(Visible, "expand_base", counted(EXPANDED, Visible.expand_base))
    patch(building, "execute", counted(BUILT, execute))
    return counts
