"""Durations, kept as plain numbers, make the same histogram as the Prometheus library's own."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import HistogramMetricFamily

from market_pulse.process.durations import LATENCY_BOUNDS_S, Durations


@given(st.lists(st.floats(0, 20) | st.sampled_from(LATENCY_BOUNDS_S), max_size=50))
def test_they_are_the_librarys_own(seconds: list[float]) -> None:
    registry = CollectorRegistry()
    theirs, ours = Histogram("x", "text", buckets=LATENCY_BOUNDS_S, registry=registry), Durations()
    for one in seconds:
        theirs.observe(one)
        ours.observe(one)
    family = HistogramMetricFamily("x", "text", labels=())
    ours.add_to(family)
    known = {(sample.name, *sample.labels.values()): sample.value for sample in family.samples}
    [expected] = registry.collect()
    assert known == {
        (sample.name, *sample.labels.values()): sample.value
        for sample in expected.samples
        if not sample.name.endswith("_created")
    }


def test_clocks_that_disagree_do_not_count_backwards() -> None:
    durations = Durations()
    durations.observe(-5.0)
    family = HistogramMetricFamily("x", "text", labels=())
    durations.add_to(family)
    assert {sample.name: sample.value for sample in family.samples} == {"x_bucket": 1, "x_count": 1, "x_sum": 0}
