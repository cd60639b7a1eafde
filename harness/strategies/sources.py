"""Ways to name what is in a build context."""

from __future__ import annotations

from collections.abc import Mapping

from harness.model.tree import Item, is_folder, join, name_of, parent

_ARCHITECTURE = "amd64"


class Sources:
    """What a COPY of a context may say: names as they are, patterns that match one or many, and those with ARGs."""

    def __init__(self, context: Mapping[str, Item]) -> None:
        self._paths = sorted(context, key=lambda one: (len(one), one))
        self.names = [quoted(path) for path in self._paths]
        """Each path as a COPY names it, the shortest first."""
        self._fixed = [*self.names, *self._patterns(context)]
        names = [name_of(path) for path in self._paths]
        # What has one name in two folders meets where it is copied to.
        self._twice = [quoted(path) for path, name in zip(self._paths, names, strict=True) if names.count(name) > 1] * 2

    def _patterns(self, context: Mapping[str, Item]) -> list[str]:
        found: list[str] = []
        for path in self._paths[:6]:
            name, folder = name_of(path), quoted(parent(path))
            found += [join(folder, pattern) for pattern in ("*", name[:1] + "*", "?" + name[1:], f"[{name[:1]}-z]*")]
            found += [join(folder, "nowhere/../" + quoted(name))]
            found += [f"./{path}/.", f"{path}/*", f"{path}/.."] if is_folder(context, path) else [f"/{path}"]
            found += [join(folder, "${ARCH}")] if name == _ARCHITECTURE else []
        return found

    def ways(self, values: Mapping[str, str | None]) -> list[str]:
        """Return all of them, the simplest first. Shape: ``values`` are those of the ARGs so far."""
        found = [*self._fixed]
        for key, value in values.items():
            found += [join(quoted(parent(path)), f"${{{key}}}") for path in self._paths[:6] if name_of(path) == value]
        found += self._twice
        # However many names there are: a context is copied as a whole more often than anything in it.
        return [*found, *["."] * (1 + len(found) // 8)]


def quoted(path: str) -> str:
    """Return a path as a COPY names it: a dollar sign would begin a variable."""
    return path.replace("$", "\\$")
