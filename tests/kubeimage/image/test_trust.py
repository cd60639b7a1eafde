import pytest

from kubeimage.image.reference import Reference
from kubeimage.image.trust import TrustPolicy, TrustRule

SCOPES = (
    "registry.example.com",
    "registry.example.com/team",
    "docker.io",
    "docker.io/library/nginx",
    "h.example:5000/a",
)
POLICY = TrustPolicy(tuple(TrustRule(scope, "reject") for scope in SCOPES))


@pytest.mark.parametrize(
    ("image", "scope"),
    [
        ("registry.example.com/team/app:1", "registry.example.com/team"),
        ("registry.example.com/team/app/deep:1", "registry.example.com/team"),
        ("registry.example.com/team:1", "registry.example.com/team"),
        ("registry.example.com/teams/app:1", "registry.example.com"),
        ("registry.example.com:443/team/app:1", "registry.example.com/team"),
        ("REGISTRY.example.com/team/app:1", "registry.example.com/team"),
        ("registry.example.com:5000/team/app:1", None),
        ("registry.example.community/team/app:1", None),
        ("docker.io/library/nginx:1", "docker.io/library/nginx"),
        ("docker.io/nginx:1", "docker.io/library/nginx"),
        ("index.docker.io/library/nginx:1", "docker.io/library/nginx"),
        ("registry-1.docker.io/team/app:1", "docker.io"),
        ("h.example:5000/a:1", "h.example:5000/a"),
        ("h.example/a:1", None),
    ],
)
def test_the_longest_rule_is_about_an_image_whatever_its_registry_is_called(image: str, scope: str | None) -> None:
    rule = POLICY.rule_of(Reference.parse(image, namespace=""))

    assert (rule.scope if rule is not None else None) == scope


def test_a_rule_for_all_is_for_those_that_no_other_is_for() -> None:
    policy = TrustPolicy((TrustRule("*", "reject"), TrustRule("a.example", "accept")))

    assert policy.rule_of(Reference.parse("a.example/x")) == policy.rules[1]
    assert policy.rule_of(Reference.parse("b.example/x")) == policy.rules[0]
    assert policy.rule_of(None) == policy.rules[0]


def test_a_policy_that_accepts_all_asks_for_nothing() -> None:
    assert not TrustPolicy()
    assert not TrustPolicy((TrustRule("*", "accept"),))
    assert POLICY
