import pytest

from kubeimage.errors import KubefileError
from kubeimage.kubefile import Copy, parse


def parse_copy(value: str) -> Copy:
    (copy,) = parse(f"FROM scratch\nCOPY {value}\n").layered
    assert isinstance(copy, Copy)
    return copy


@pytest.mark.parametrize(
    ("value", "copy"),
    [
        ("etc .", Copy(("etc",), ".")),
        ("a b\tc   d", Copy(("a", "b", "c"), "d")),
        ("${ARCH}/helm bin   # from the context", Copy(("${ARCH}/helm",), "bin")),
        ("a#b c#", Copy(("a#b",), "c#")),
        ('"#a" bin', Copy(("#a",), "bin")),
        ("\"my file\" 'your file' etc", Copy(("my file", "your file"), "etc")),
        ("it's bin", Copy(("it's",), "bin")),
        ('["my file", "etc"]', Copy(("my file",), "etc")),
        ('[ "a" ,"b"\t, "c # d" ] # note', Copy(("a", "b"), "c # d")),
        ('["\\u00e9\\n\\"", "\\\\"]', Copy(('é\n"',), "\\")),
        ("[a-z]*.yaml etc", Copy(("[a-z]*.yaml",), "etc")),
        ("[ab] etc", Copy(("[ab]",), "etc")),
        ("x [ab]", Copy(("x",), "[ab]")),
        ("--exact a b", Copy(("a",), "b", exact=True)),
        ("--chmod=755 a b", Copy(("a",), "b", chmod=0o755)),
        ("--chmod=0 a b", Copy(("a",), "b", chmod=0)),
        ("--chmod=0007777 a b", Copy(("a",), "b", chmod=0o7777)),
        ('--chmod=4755  --exact ["a b", "c"]', Copy(("a b",), "c", exact=True, chmod=0o4755)),
        ('"--exact" b', Copy(("--exact",), "b")),
        ('["--exact", "b"]', Copy(("--exact",), "b")),
        ("-a -b", Copy(("-a",), "-b")),
        ("/a/../b ./..x/...", Copy(("/a/../b",), "./..x/...")),
        ("a $X/../..", Copy(("a",), "$X/../..")),
        ("a \\\n  # between\n\n  b", Copy(("a",), "b")),
    ],
)
def test_copy_takes_flags_sources_and_a_destination(value: str, copy: Copy) -> None:
    assert parse_copy(value) == copy


@pytest.mark.parametrize(
    ("value", "codes"),
    [
        ("", ["E0203"]),
        ("foo", ["E0203"]),
        ("--exact foo", ["E0203"]),
        ('["foo"]', ["E0203"]),
        ("# foo bar", ["E0203"]),
        ("--chown=1 a b", ["E0210"]),
        ("-- a b", ["E0210"]),
        ("--exact=1 a b", ["E0211"]),
        ("--chmod= a b", ["E0211"]),
        ("--exact --exact a b", ["E0212"]),
        ("a --exact b", ["E0213"]),
        ("--chmod=8 a b", ["E0214"]),
        ("--chmod=+1 a b", ["E0214"]),
        ("--chmod=0x1 a b", ["E0214"]),
        ("--chmod=10000 a b", ["E0214"]),
        ("--exact a b c", ["E0215"]),
        ("[a, b]", ["E0216"]),
        ('["a", "b"', ["E0216"]),
        ('["a" "b"]', ["E0216"]),
        ('["a", b]', ["E0216"]),
        ('["a", ["b"]]', ["E0216"]),
        ('["a", "b"] c', ["E0216"]),
        ('["a", "b"]# c', ["E0216"]),
        ('["a\tb", "c"]', ["E0216"]),
        ("[]", ["E0217"]),
        ('"a b', ["E0218"]),
        ('"a"b c', ["E0219"]),
        ("http://x/y z", ["E0220"]),
        ("HTTPS://x/y z", ["E0220"]),
        ("ssh://git@x/y z", ["E0220"]),
        ("git@x:y z", ["E0220"]),
        (".. z", ["E0221"]),
        ("a/../../b $X z", ["E0221"]),
        ("../$X z", ["E0221"]),
        ("a ../x", ["E0222"]),
        ("a /..", ["E0222"]),
        ("a x/.wh.y/z", ["E0223"]),
        ('"" a', ["E0224"]),
        ('a ""', ["E0224"]),
        ("my\\ file etc", ["E0225"]),
        ("a \\ # b\nRUN true", ["E0226"]),
        ("a b # c\\\nRUN true", ["E0227"]),
        ('["\\u0000", "\\ud800"]', ["E0228", "E0228"]),
        ("--foo ../a http://x ../b", ["E0210", "E0221", "E0220", "E0222"]),
    ],
)
def test_a_bad_copy_is_an_error_for_each_mistake(value: str, codes: list[str]) -> None:
    with pytest.raises(KubefileError) as caught:
        parse_copy(value)

    assert sorted(diagnostic.code for diagnostic in caught.value.diagnostics) == sorted(codes)


@pytest.mark.parametrize(
    ("copy", "value"),
    [
        (Copy(("a", "b"), "bin", chmod=0o755), "--chmod=755 a b bin"),
        (Copy(("a",), "b", exact=True, chmod=0), "--exact --chmod=0 a b"),
        (Copy(("a b",), "c"), '["a b", "c"]'),
        (Copy(("[a-z]*",), "c"), "[a-z]* c"),
        (Copy(("[a",), "c]"), '["[a", "c]"]'),
        (Copy(("é",), "a\\"), '["é", "a\\\\"]'),
    ],
)
def test_a_copy_has_one_canonical_text(copy: Copy, value: str) -> None:
    assert copy.value == value
