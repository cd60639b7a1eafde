import pytest

from kubeimage.errors import KubefileError
from kubeimage.kubefile import Arg, parse


def parse_arg(value: str) -> Arg:
    (arg,) = parse(f"FROM scratch\nARG {value}\n").arguments
    return arg


@pytest.mark.parametrize(
    ("value", "pairs"),
    [
        ("A=1", [("A", "1")]),
        ("A", [("A", None)]),
        ("_a9=", [("_a9", "")]),
        ("A=1,B=2", [("A", "1"), ("B", "2")]),
        ("A=1 , B=2 ,\tC=3", [("A", "1"), ("B", "2"), ("C", "3")]),
        ("A=,B=", [("A", ""), ("B", "")]),
        ("X=1,2", [("X", "1,2")]),
        ("X=1,2,Y=3,", [("X", "1,2"), ("Y", "3,")]),
        ("X=a,,Y=b", [("X", "a,"), ("Y", "b")]),
        ("X=a,b-c=d", [("X", "a,b-c=d")]),
        ("X=a,2b=c", [("X", "a,2b=c")]),
        ("X=a=b", [("X", "a=b")]),
        ('X="a b"', [("X", "a b")]),
        ("X='a b'", [("X", "a b")]),
        ('X="1,Y=2",Z="3"', [("X", "1,Y=2"), ("Z", "3")]),
        ("X=\"it's\" , Y='\"'", [("X", "it's"), ("Y", '"')]),
        ("X=it's", [("X", "it's")]),
        ('X=""', [("X", "")]),
        ('X="a\\"', [("X", "a\\")]),
        ("X=a#b", [("X", "a#b")]),
        ("X=#b", [("X", "#b")]),
        ("X=a # note, Y=2", [("X", "a")]),
        ('X="a # b"# c', None),
        ('X="a # b" # c', [("X", "a # b")]),
        ("X # note", [("X", None)]),
        ("X=$Y/${Z}", [("X", "$Y/${Z}")]),
        ("X=a\\\\", [("X", "a\\\\")]),
        ("X=配置", [("X", "配置")]),
    ],
)
def test_arg_declares_pairs(value: str, pairs: list[tuple[str, str | None]] | None) -> None:
    if pairs is None:
        with pytest.raises(KubefileError):
            parse_arg(value)
    else:
        assert parse_arg(value) == Arg(tuple(pairs))


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("a-b=1", "E0230"),
        ("1A=1", "E0230"),
        ("É=1", "E0230"),
        (",A=1", "E0230"),
        ("A=1 2", "E0231"),
        ("A=1, 2", "E0231"),
        ("A=1 B=2", "E0231"),
        ("A= 1", "E0231"),
        ("bad,Y=2", "E0232"),
        ("A B", "E0232"),
        ("A,", "E0232"),
        ("A=1,A=2", "E0233"),
        ("A =1", "E0234"),
        ('A="1', "E0218"),
        ('A="1"2', "E0219"),
        ('A="1",2', "E0219"),
        ("A=1\\ # 2", "E0226"),
        ("A=1 # 2\\\nRUN true", "E0227"),
    ],
)
def test_a_bad_arg_is_an_error(value: str, code: str) -> None:
    with pytest.raises(KubefileError) as caught:
        parse_arg(value)

    assert [diagnostic.code for diagnostic in caught.value.diagnostics] == [code]


def test_values_are_written_as_short_as_they_can_be() -> None:
    arg = Arg((("A", "1,2"), ("B", "x,C=3"), ("D", 'say "no" now'), ("E", ""), ("F", "a\\")))

    assert arg.value == """A=1,2,B="x,C=3",D='say "no" now',E=,F="a\\\""""
