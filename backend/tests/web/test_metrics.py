"""What the server counts of itself."""

import gc

from app.web.metrics import Metrics


def _pauses(metrics: Metrics) -> float:
    return float(metrics.registry.get_sample_value("deployx_gc_pause_seconds_count") or 0)


def test_each_pause_of_the_collector_is_measured_while_it_is_watched() -> None:
    metrics, before = Metrics(), list(gc.callbacks)
    with metrics.collector_watched():
        gc.collect()
        assert _pauses(metrics) == 1
    gc.collect()
    assert _pauses(metrics) == 1
    assert gc.callbacks == before
