"""Figures of requests from what Prometheus collects, beside the figures of the very requests."""

from __future__ import annotations

import math
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlnb.core.errors import InputError
from mlnb.deployment.prometheus_stats import bucket_percentile, prometheus_stats, scrape
from mlnb.deployment.service_metrics import BUCKETS, ServiceMetrics

requests = st.lists(
    st.tuples(st.sampled_from(["champion", "challenger", "none"]), st.sampled_from([200, 422, 503]), st.floats(0, 20), st.booleans()),
    max_size=40,
)


def count(metrics: ServiceMetrics, asked: list) -> str:
    for arm, status, seconds, bad in asked:
        metrics.seen(arm, status, seconds, bad and arm != "none")
    return metrics.text().decode()


@settings(max_examples=25)
@given(requests, requests, st.sampled_from(["", "champion", "challenger"]))
def test_between_two_looks_the_figures_are_those_of_the_requests_in_between(first: list, then: list, arm: str) -> None:
    metrics = ServiceMetrics()
    before, now = count(metrics, first), count(metrics, then)
    stats = prometheus_stats(now, before, arm, "2026-03-01T09:00:00+00:00", "2026-03-01T09:00:10+00:00")
    mine = [each for each in then if arm in ("", each[0])]
    assert stats.requests == len(mine) and stats.per_second == len(mine) / 10 and not stats.problems
    assert stats.errors == sum(bad and who != "none" for who, _, _, bad in mine)
    assert stats.refused == sum(status == 422 for _, status, _, _ in mine)
    took = np.sort([1000 * seconds for who, _, seconds, _ in mine if who != "none"])
    for name, (low, high) in stats.bounds.items():
        rank = took[max(math.ceil(float(name[1:3]) / 100 * len(took)) - 1, 0)]  # the nearest rank
        assert low <= rank + 1e-9 and (high is None or rank <= high + 1e-9)
        assert low <= getattr(stats, name) and (high is None or getattr(stats, name) <= high)
    assert bool(len(took)) == (stats.p50_ms is not None)


@given(st.lists(st.integers(0, 50), min_size=14, max_size=14), st.floats(0, 100))
def test_percentiles_lie_in_the_bucket_that_holds_the_rank(counts: list, percent: float) -> None:
    cumulated = dict(zip([*BUCKETS, math.inf], np.cumsum(counts).tolist(), strict=True))
    found = bucket_percentile(cumulated, percent)
    if not sum(counts):
        assert found is None
        return
    assert found is not None
    value, (low, high) = found
    assert low <= value and (high is None or value <= high)
    rank = percent / 100 * sum(counts)
    below = 0 if low == 0 else cumulated[low]
    assert below <= rank + 1e-9 and rank <= (sum(counts) if high is None else cumulated[high]) + 1e-9


def test_the_worked_example_of_a_uniform_bucket() -> None:
    # 100 observations, 10 up to 0.1, 40 more up to 0.2, the rest up to 0.4: the median is the end of the second bucket
    assert bucket_percentile({0.1: 10, 0.2: 50, 0.4: 100, math.inf: 100}, 50) == (0.2, (0.1, 0.2))
    assert bucket_percentile({0.1: 10, 0.2: 50, 0.4: 100, math.inf: 100}, 75) == (pytest.approx(0.3), (0.2, 0.4))
    assert bucket_percentile({0.1: 10, math.inf: 100}, 99) == (0.1, (0.1, None))
    assert bucket_percentile({0.1: 10, 0.2: 9, math.inf: 10}, 100) == (0.1, (0.0, 0.1))  # counts that fell behind each other


def test_a_service_that_was_started_again_counts_from_its_start_and_that_is_told() -> None:
    before = count(ServiceMetrics(), [("champion", 200, 0.01, False)] * 5)
    for n in (3, 50):  # fewer than before, and more
        stats = prometheus_stats(count(ServiceMetrics(), [("champion", 200, 0.01, False)] * n), before)
        assert stats.requests == n and "began anew" in stats.problems[0]
    plain = "# TYPE mlnb_requests counter\nmlnb_requests_total{status=\"200\"} %d\n"
    assert prometheus_stats(plain % 3, plain % 5).requests == 3 and prometheus_stats(plain % 8, plain % 5).requests == 3


def test_other_services_count_under_other_names() -> None:
    text = """# TYPE http_requests counter
http_requests_total{code="200",arm="a"} 90
http_requests_total{code="500",arm="a"} 10
# TYPE took histogram
took_bucket{le="0.1"} 50
took_bucket{le="+Inf"} 100
took_sum 1
took_count 100
"""
    stats = prometheus_stats(text, requests="http_requests_total", latency="took")
    assert (stats.requests, stats.errors, stats.error_rate, stats.p50_ms) == (100, 10, 0.1, pytest.approx(100))
    assert stats.bounds["p99_ms"] == (100.0, None) and stats.per_second is None
    assert prometheus_stats(text, arm="b", requests="http_requests").requests == 0


@pytest.mark.parametrize("text", ["", "<html>", "mlnb_requests_total{", '{"a": 1}', "a b c d e", "mlnb_requests_total x"])
def test_what_is_no_text_of_prometheus_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        prometheus_stats(text)


def test_it_is_asked_over_http() -> None:
    text = count(ServiceMetrics(), [("champion", 200, 0.01, False)] * 4)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/metrics" else 404)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    assert prometheus_stats(f"{url}/metrics").requests == 4
    with pytest.raises(InputError, match="Not Found"):
        scrape(f"{url}/other")
    server.shutdown()
    server.server_close()
    with pytest.raises(InputError, match="tells no metrics"):
        scrape(f"{url}/metrics")
