"""Metrics of very frequent events, which must cost less than those of the Prometheus library."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from time import time

from prometheus_client import CollectorRegistry, Counter, Metric
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar


class TalliedCounter(Counter):
    """A counter for very frequent events, which another object counts more cheaply.

    `bring_up_to_date` is called before the counter is read, and adds the new events.
    """

    bring_up_to_date: Callable[[], None] | None = None

    def collect(self) -> Iterable[Metric]:
        """The counter's samples; see Counter."""
        if self.bring_up_to_date is not None:
            self.bring_up_to_date()
        return super().collect()


class TalliedHistogram(Collector):
    """A histogram of very frequent times, with one label, whose values are all known.

    An observation costs about 0.3 us, because it takes no lock: observe and collect in one thread.
    An exemplar is the last trace that was counted in its bucket.
    """

    _type = "histogram"

    def __init__(
        self,
        name: str,
        documentation: str,
        label: str,
        values: Sequence[str],
        buckets: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._labelnames = (label,)
        self._bounds = tuple(buckets)
        self._counts = {value: [0] * (len(buckets) + 1) for value in values}
        self._sums = dict.fromkeys(values, 0.0)
        self._exemplars: dict[tuple[str, int], Exemplar] = {}
        registry.register(self)

    def observe(self, value: str, seconds: float, trace_id: str | None = None) -> None:
        """Count a time under one of the label's values; others are not counted."""
        counts = self._counts.get(value)
        if counts is None:
            return
        bucket = bisect_left(self._bounds, seconds)
        counts[bucket] += 1
        self._sums[value] += seconds
        if trace_id is not None:
            self._exemplars[value, bucket] = Exemplar({"trace_id": trace_id}, seconds, time())

    def describe(self) -> Iterator[Metric]:
        """The histogram without values."""
        yield HistogramMetricFamily(self._name, self._documentation, labels=self._labelnames)

    def collect(self) -> Iterator[Metric]:
        """The histogram's samples."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labelnames)
        bounds = [*map(str, self._bounds), "+Inf"]
        for value, counts in self._counts.items():
            buckets: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
            for number, total in enumerate(accumulate(counts)):
                exemplar = self._exemplars.get((value, number))
                bucket = (bounds[number], float(total))
                buckets.append(bucket if exemplar is None else (*bucket, exemplar))
            family.add_metric([value], buckets, self._sums[value])
        yield family
