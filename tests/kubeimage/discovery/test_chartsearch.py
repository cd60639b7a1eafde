"""How files among charts are sorted."""

from kubeimage.discovery.chartsearch import ChartPlan


def test_files_are_sorted_by_what_they_are() -> None:
    inside = ["charts/b/Chart.yaml", "charts/b/values.yaml", "charts/b/templates/x.yaml"]
    outside = ["charts/a.tgz", "charts/b.values.yaml", "charts/README.md"]

    plan = ChartPlan.of(inside + outside)

    assert plan.folders == {"charts/b": tuple(inside)}
    assert (plan.archives, plan.charts) == (("charts/a.tgz",), ("charts/a.tgz", "charts/b"))
    assert {*plan.values, *plan.others} == {"charts/b.values.yaml", "charts/README.md"}
