"""What holds for every command: where the store is, how short names are completed, and how registries are reached.

The last two, and how a RUN is run, stand in the configuration file:

    default-domain = "registry.example.com"     # for names that say no registry
    default-namespace = "team"                  # for names that are one word
    image-kinds = ["kinds.toml"]                # where custom resources name images (docs/airgap.md)
    dialect = "sealos"                          # of Kubefiles that do not say which they are in
    referrers = "all"                           # signatures, SBOMs, attestations that travel: as --referrers
    stat-index = true                           # files that have not changed are not read again; false: always read
    stat-index-age = 60                         # ... once they are so many seconds old
    certs-dirs = ["/etc/docker/certs.d"]        # HOST/*.crt are CAs, HOST/*.cert and *.key a client's certificate

    [run]                                       # for every RUN, unless a build says otherwise
    network = "none"                            # host, private, none: as --network
    paths = ["/opt/tools"]                      # places of the machine that it sees, beside what all see: as --run-path
    memory = "2GiB"                             # as --memory
    pids = 500                                  # as --pids
    tmp-size = "1GiB"                           # as --tmp-size

    [registry."10.0.0.5:5000"]
    insecure = true                             # TLS without verification, or plain HTTP where there is no TLS
    plain-http = true                           # no TLS at all
    ca-file = "/etc/ssl/our-ca.pem"             # trusted for this registry, beside the system's

    [mirror."docker.io/library"]                # images whose names begin so ...
    locations = ["mirror.local:5000/hub"]       # ... are pulled from these instead, in this order
    fallback = true                             # and then from where the name says

    [trust."registry.example.com/team"]         # images whose names begin so; "*" is for all that no other is for
    require = "signed"                          # accept, reject, signed
    keys = ["team.pub", "release.pub"]          # by one of these
    identity = "repository"                     # for which name: repository, exact, any (docs/signatures.md)

Reading it costs nothing where there is no file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from kubeimage.errors import KubeimageError, SettingsError
from kubeimage.image.compatibility import DEFAULT_DIALECT, DIALECTS, Dialect
from kubeimage.image.reference import DEFAULT_DOMAIN, DEFAULT_NAMESPACE, Naming, Reference
from kubeimage.image.trust import EVERY, IDENTITY_RULES, Requirement, TrustPolicy, TrustRule
from kubeimage.patterns import pattern
from kubeimage.toml import read_toml
from kubeimage.values import dataclass

if TYPE_CHECKING:
    from kubeimage.image.referrers import ReferrerChoice

ROOT_VARIABLE = "KUBEIMAGE_ROOT"

DEFAULT_INDEX_AGE = 60.0
_CERTS_DIRS = ("/etc/docker/certs.d", "/etc/containers/certs.d")
_TOP = (
    "default-domain",
    "default-namespace",
    "dialect",
    "referrers",
    "certs-dirs",
    "image-kinds",
    "stat-index",
    "stat-index-age",
    "registry",
    "mirror",
    "run",
    "trust",
)
_RUN = ("network", "paths", "memory", "pids", "tmp-size")
_REGISTRY = ("insecure", "plain-http", "ca-file")
_MIRROR = ("locations", "fallback")
_TRUST = ("require", "keys", "identity")


@dataclass(frozen=True)
class HostSettings:
    """How one registry is reached; without ``insecure`` and ``plain_http``, by TLS that is verified."""

    insecure: bool = False
    plain_http: bool = False
    ca_file: str | None = None


_VERIFIED = HostSettings()
Word = TypeVar("Word", bound=str)


@dataclass(frozen=True)
class MirrorSettings:
    """Where images whose names begin with ``prefix`` are pulled from instead.

    Shape: ``prefix`` and ``locations`` are ``domain`` or ``domain/path``; with ``fallback``, the last place to try is
           the one that the name says.
    """

    prefix: str
    locations: tuple[str, ...]
    fallback: bool = True


@dataclass(frozen=True)
class RunSettings:
    """How a RUN is run where a build does not say.

    Shape: ``paths`` are places of this machine that it sees, read-only; ``network`` is one of `NETWORKS`; ``pids`` is
           how many processes and threads it may have at once.
    Units: ``memory``, of all its processes together, and ``tmp_size`` in bytes; None is no limit.
    """

    network: str = "host"
    paths: tuple[str, ...] = ()
    memory: int | None = None
    pids: int | None = None
    tmp_size: int | None = None

    def but(
        self,
        *,
        network: str | None = None,
        paths: tuple[str, ...] = (),
        memory: int | None = None,
        pids: int | None = None,
        tmp_size: int | None = None,
    ) -> RunSettings:
        """Return these settings with what is given in their place; paths are added."""
        return RunSettings(
            network=network or self.network,
            paths=(*self.paths, *paths),
            memory=memory if memory is not None else self.memory,
            pids=pids if pids is not None else self.pids,
            tmp_size=tmp_size if tmp_size is not None else self.tmp_size,
        )


@dataclass(frozen=True)
class Settings:
    """All settings; without a file, what holds for everybody.

    Units: ``index_age`` is how many seconds a file of a build context must be old before it is known again without
           reading it; with None, all files are read in every build.
    Shape: ``referrers`` are those that travel with images; with None, none come from registries, and all go along of
           what is here.
    """

    naming: Naming = Naming()
    dialect: Dialect = DEFAULT_DIALECT
    hosts: Mapping[str, HostSettings] = field(default_factory=dict)
    mirrors: tuple[MirrorSettings, ...] = ()
    certs_dirs: tuple[str, ...] = _CERTS_DIRS
    image_kinds: tuple[str, ...] = ()
    run: RunSettings = RunSettings()
    trust: TrustPolicy = TrustPolicy()
    index_age: float | None = DEFAULT_INDEX_AGE
    referrers: ReferrerChoice | None = None

    def read_image_kinds(self) -> tuple[bytes, ...]:
        """Return the files that say where custom resources name images.

        Raises: SettingsError.
        """
        texts = []
        for path in self.image_kinds:
            try:
                with open(path, "rb") as stream:
                    texts.append(stream.read())
            except OSError as error:
                raise SettingsError(f"image-kinds: cannot read {path!r}: {error.strerror}") from error
        return tuple(texts)

    def host(self, name: str) -> HostSettings:
        """Return how the registry ``name`` is reached; the usual ports need not be said."""
        return next((self.hosts[one] for one in (name, f"{name}:443", f"{name}:80") if one in self.hosts), _VERIFIED)

    def with_stat_index(self, wanted: bool) -> Settings:
        """Return settings in which every file of a build context is read, unless what is known is ``wanted``."""
        return self if wanted else replace(self, index_age=None)

    def with_insecure(self, names: Iterable[str]) -> Settings:
        """Return settings in which these registries need not be verified; ``http://HOST`` means plain HTTP at once.

        Raises: SettingsError for what is no ``HOST[:PORT]``.
        """
        hosts = dict(self.hosts)
        for name in names:
            host = name.removeprefix("http://").removeprefix("https://").rstrip("/")
            _check_location(host, "--insecure", allow_path=False)
            hosts[host] = replace(self.host(host), insecure=True, plain_http=name.startswith("http://"))
        return replace(self, hosts=hosts)

    def places(self, reference: Reference) -> tuple[Reference, ...]:
        """Return where the image can be pulled from, in the order to try.

        Raises: SettingsError for a mirror that stands for one repository and does not name its own.
        """
        name = f"{reference.domain}/{reference.repository}"
        fitting = [mirror for mirror in self.mirrors if f"{name}/".startswith(f"{mirror.prefix}/")]
        if not fitting:
            return (reference,)
        mirror = max(fitting, key=lambda one: len(one.prefix))
        rest = name[len(mirror.prefix) :]
        mirrored = [_moved(reference, location + rest) for location in mirror.locations]
        return (*mirrored, reference) if mirror.fallback else tuple(mirrored)


NETWORKS = ("host", "private", "none")
"""What network a RUN may have: the machine's, one of its own that only leads out, or none."""

SIZES = "it is a number of bytes above 0, or one with a unit, as in 512MB or 2GiB"
"""What `parse_size` takes."""

_SIZE = pattern(r"(?P<number>[0-9]{1,15}) ?(?:(?P<unit>[kKMGT])(?P<binary>i)?)?B?", re.ASCII)


def parse_size(text: str) -> int | None:
    """Return the bytes that a size says, as in ``512MB`` or ``2GiB``; None for what is no size above 0."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        return None
    power = "kmgt".index(found["unit"].lower()) + 1 if found["unit"] else 0
    return int(found["number"]) * (1024 if found["binary"] else 1000) ** power or None


DURATIONS = "it is a number with a unit: s, m, h, d or w, as in 90m or 30d"
"""What `parse_duration` takes."""

_DURATION = pattern(r"(?P<number>[0-9]{1,9}(\.[0-9]{1,3})?) ?(?P<unit>[smhdw])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_duration(text: str) -> float | None:
    """Return the seconds that a duration says, as in ``90m`` or ``30d``; None for what is none."""
    found = _DURATION.fullmatch(text.strip())
    return float(found["number"]) * _SECONDS[found["unit"]] if found is not None else None


def default_root() -> str:
    """Return the store's root where nobody names one.

    Source: the project's design, "The store".
    """
    if root := os.environ.get(ROOT_VARIABLE):
        return os.path.abspath(root)
    if os.geteuid() == 0:
        return "/var/lib/kubeimage"
    data = os.environ.get("XDG_DATA_HOME") or os.path.join(os.path.expanduser("~"), ".local", "share")
    return os.path.join(data, "kubeimage")


def settings_path(environment: Mapping[str, str] | None = None) -> str:
    """Return the path of the configuration file where nobody names one."""
    environment = os.environ if environment is None else environment
    home = environment.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return os.path.join(home, "kubeimage", "config.toml")


def read_settings(path: str | None = None) -> Settings:
    """Read the configuration file at ``path``, or where it usually is; there, having none is fine.

    Raises: SettingsError.
    """
    where = path if path is not None else settings_path()
    try:
        with open(where, "rb") as stream:
            data = stream.read()
    except (FileNotFoundError, NotADirectoryError):
        if path is None:
            return Settings()
        raise SettingsError(f"there is no configuration file {where!r}") from None
    except OSError as error:
        raise SettingsError(f"cannot read the configuration file {where!r}: {error.strerror}") from error
    return parse_settings(data, file=where)


def parse_settings(data: bytes, *, file: str) -> Settings:
    """Read the text of a configuration file; paths in it are relative to its folder.

    Raises: SettingsError, which says where, as far as that is known.
    """
    try:
        document = read_toml(data)
    except ValueError as error:
        raise SettingsError(f"{file}: {error}") from error
    try:
        settings = _settings(_Table(document, "", _TOP), os.path.dirname(os.path.abspath(file)))
        return replace(settings, trust=_with_places(settings.trust, data.decode("utf-8"), file))
    except SettingsError as error:
        raise SettingsError(f"{file}: {error}", hint=error.hint) from None


def _settings(top: _Table, folder: str) -> Settings:
    naming = Naming(
        top.text("default-domain", DEFAULT_DOMAIN), top.text("default-namespace", DEFAULT_NAMESPACE, empty=True)
    )
    try:
        naming.check()
    except KubeimageError as error:
        raise SettingsError(f"default-domain or default-namespace: {error}") from error
    return Settings(
        naming=naming,
        dialect=_dialect(top.text("dialect", DEFAULT_DIALECT)),
        hosts={host: _host(host, top.table("registry", host, _REGISTRY), folder) for host in top.names("registry")},
        mirrors=tuple(_mirror(prefix, top.table("mirror", prefix, _MIRROR)) for prefix in top.names("mirror")),
        certs_dirs=tuple(os.path.join(folder, one) for one in top.texts("certs-dirs", _CERTS_DIRS)),
        index_age=top.number("stat-index-age", DEFAULT_INDEX_AGE) if top.flag("stat-index", default=True) else None,
        image_kinds=tuple(os.path.join(folder, os.path.expanduser(one)) for one in top.texts("image-kinds", ())),
        run=_run(top.section("run", _RUN), folder),
        trust=TrustPolicy(
            tuple(_trust(scope, top.table("trust", scope, _TRUST), folder) for scope in top.names("trust"))
        ),
        referrers=_referrers(top.text("referrers", "")),
    )


def _referrers(text: str) -> ReferrerChoice | None:
    if not text:
        return None
    from kubeimage.image.referrers import ReferrerChoice

    try:
        return ReferrerChoice.parse(text)
    except KubeimageError as error:
        raise SettingsError(f"referrers: {error}", hint=error.hint) from error


def _run(table: _Table, folder: str) -> RunSettings:
    network = table.text("network", NETWORKS[0])
    if network not in NETWORKS:
        raise SettingsError(f"{table.where} network = {network!r}: it is one of {', '.join(NETWORKS)}")
    return RunSettings(
        network=network,
        paths=tuple(os.path.join(folder, os.path.expanduser(one)) for one in table.texts("paths", ())),
        memory=table.size("memory"),
        pids=table.count("pids"),
        tmp_size=table.size("tmp-size"),
    )


def _dialect(name: str) -> Dialect:
    found = next((one for one in DIALECTS if one == name), None)
    if found is None:
        raise SettingsError(f"dialect is none: {name!r}", hint=f"there are {', '.join(DIALECTS)}")
    return found


def _host(name: str, table: _Table, folder: str) -> HostSettings:
    _check_location(name, table.where, allow_path=False)
    ca_file = table.text("ca-file", "")
    return HostSettings(
        insecure=table.flag("insecure", False),
        plain_http=table.flag("plain-http", False),
        ca_file=os.path.join(folder, os.path.expanduser(ca_file)) if ca_file else None,
    )


def _mirror(prefix: str, table: _Table) -> MirrorSettings:
    locations = table.texts("locations", ())
    for place in (prefix, *locations):
        _check_location(place, table.where, allow_path=True)
    fallback = table.flag("fallback", True)
    if not locations and not fallback:
        raise SettingsError(f"{table.where} names no locations and has no fallback, so nothing can be pulled")
    return MirrorSettings(prefix, locations, fallback)


def _trust(scope: str, table: _Table, folder: str) -> TrustRule:
    if scope != EVERY:
        _check_location(scope, table.where, allow_path=True)
    require = table.choice("require", get_args(Requirement))
    keys = tuple(os.path.join(folder, os.path.expanduser(one)) for one in table.texts("keys", ()))
    identity = table.choice("identity", IDENTITY_RULES, IDENTITY_RULES[0])
    if require == "signed" and not keys:
        raise SettingsError(f"{table.where} names no keys", hint='keys = ["PUBLIC.pem"] names those that sign')
    if require != "signed" and keys:
        raise SettingsError(f"{table.where} names keys, and its images need not be signed", hint='require = "signed"')
    return TrustRule(scope, require, keys, identity)


def _with_places(policy: TrustPolicy, text: str, file: str) -> TrustPolicy:
    """Return a policy whose rules say where they stand."""
    import tomllib

    lines: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1) if policy.rules else ():
        if not line.lstrip().startswith("["):
            continue
        try:
            headed = tomllib.loads(line).get("trust", {})
        except tomllib.TOMLDecodeError:
            continue
        if isinstance(headed, dict):
            lines |= {scope: lines.get(scope, number) for scope in headed}
    places = {one.scope: f"{file}:{lines[one.scope]}" if one.scope in lines else file for one in policy.rules}
    return TrustPolicy(tuple(replace(one, place=places[one.scope]) for one in policy.rules))


def _check_location(text: str, where: str, *, allow_path: bool) -> None:
    """Find out whether ``text`` is ``HOST[:PORT]``, with a path if that is allowed.

    Raises: SettingsError.
    """
    host, slash, path = text.partition("/")
    try:
        Naming(host, path if slash else "any").check()
    except KubeimageError as error:
        raise SettingsError(f"{where}: {text!r} is not a registry: {error}") from error
    if slash and not (path and allow_path):
        raise SettingsError(f"{where}: {text!r} is not a registry: a registry is HOST or HOST:PORT, without a path")


def _moved(reference: Reference, name: str) -> Reference:
    domain, _, repository = name.partition("/")
    if not repository:
        raise SettingsError(
            f"the mirror {domain!r} has no repository for {reference}",
            hint=f"name it: locations = [{domain}/REPOSITORY]",
        )
    return replace(reference, domain=domain, repository=repository)


class _Table:
    """A TOML table whose keys are known; every value is checked as it is read."""

    def __init__(self, values: Mapping[str, Any], where: str, known: tuple[str, ...]) -> None:
        self.where = where
        self._values = values
        for key in values:
            if key not in known:
                raise _unknown(key, where, known)

    def names(self, key: str) -> list[str]:
        """Return the names of the tables below ``key``."""
        return list(self._value(key, dict, {}))

    def table(self, key: str, name: str, known: tuple[str, ...]) -> _Table:
        """Return the table ``[key."name"]``."""
        where = f'[{key}."{name}"]'
        values = self._values[key][name]
        if not isinstance(values, dict):
            raise SettingsError(f"{where} is a table, found {_kind(values)}")
        return _Table(values, where, known)

    def section(self, key: str, known: tuple[str, ...]) -> _Table:
        """Return the table ``[key]``, empty where there is none."""
        return _Table(self._value(key, dict, {}), f"[{key}]", known)

    def count(self, key: str) -> int | None:
        """Return a number above 0."""
        number = self._value(key, int, None)
        if number is not None and (number < 1 or isinstance(number, bool)):
            raise SettingsError(f"{self._place(key)} is a number above 0, found {_kind(number)}")
        return None if number is None else int(number)

    def size(self, key: str) -> int | None:
        """Return a size in bytes."""
        text = self.text(key, "")
        size = parse_size(text) if text else None
        if text and size is None:
            raise SettingsError(f"{self._place(key)} = {text!r}: {SIZES}")
        return size

    def text(self, key: str, default: str, *, empty: bool = False) -> str:
        """Return a text; an empty one only where that is allowed."""
        text: str = self._value(key, str, default)
        if key in self._values and not (text or empty):
            raise SettingsError(f"{self._place(key)} is empty")
        return text

    def choice(self, key: str, known: tuple[Word, ...], default: Word | None = None) -> Word:
        """Return one of the ``known`` words."""
        text = self.text(key, default or "")
        found = next((one for one in known if one == text), None)
        if found is None:
            said = f"{self._place(key)} = {text!r}" if text else f"{self._place(key)} is missing"
            raise SettingsError(f"{said}: it is one of {', '.join(known)}")
        return found

    def flag(self, key: str, default: bool) -> bool:
        """Return true or false."""
        flag: bool = self._value(key, bool, default)
        return flag

    def number(self, key: str, default: float) -> float:
        """Return a number that is not negative."""
        value = self._values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e9:
            raise SettingsError(f"{self._place(key)} is a number that is not negative, found {_kind(value)}")
        return float(value)

    def texts(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """Return a list of texts."""
        texts = self._value(key, list, default)
        for text in texts:
            if not isinstance(text, str):
                raise SettingsError(f"{self._place(key)} is a list of texts, found {_kind(text)} in it")
        return tuple(texts)

    def _value(self, key: str, kind: type, default: Any) -> Any:
        value = self._values.get(key, default)
        if value is not default and not isinstance(value, kind):
            raise SettingsError(f"{self._place(key)} is {_KINDS[kind]}, found {_kind(value)}")
        return value

    def _place(self, key: str) -> str:
        return f"{self.where} {key}".lstrip()


_KINDS = {str: "a text", bool: "true or false", list: "a list", dict: "a table", int: "a number", float: "a number"}


def _kind(value: object) -> str:
    return f"{_KINDS.get(type(value), 'something else')}: {value!r}"


def _unknown(key: str, where: str, known: tuple[str, ...]) -> SettingsError:
    from difflib import get_close_matches

    near = get_close_matches(key, known, n=1)
    place = f" in {where}" if where else ""
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
    return SettingsError(f"unknown key {key!r}{place}", hint=hint)
