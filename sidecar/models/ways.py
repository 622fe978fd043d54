"""The ways in which a prepared model can be computed on a processor, and the choice among them.

Which numbers are fastest depends on the processor: one byte where it multiplies bytes, bf16 where
it has tiles for that, f32 on most older ones. A table of processors would soon be wrong, so the
ways that pass the gate are measured against each other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sidecar.models.backends import processor

# The least exact first.
_EXACTNESS = ("int8-fixed", "int8", "bf16", "f32")
_ALIKE = 1.05
"""Times whose ratio is below this are alike."""

_SECONDS = 2.0
_FEWEST_ROUNDS = 3  # the first may still build code
_ROUNDS_WITHOUT_CHANGE = 6
_LESS = 0.99
"""A time counts as less than another if it is below this share of it."""


@dataclass(frozen=True, slots=True)
class Way:
    """Weights in one form, computed in some numbers."""

    form: str
    """How weights are stored: `int8-fixed`, `int8`, `bf16` (any floats of two bytes) or `f32`."""

    computed_in: str
    """`int8`: bytes where the processor and the operation allow, floats elsewhere; `bf16` likewise;
    `int8-fixed`: as `int8`, with fixed scales for most activations; `f32`: nothing but 32-bit
    floats."""

    @property
    def precision(self) -> str:
        """The less exact of the two, which decides how closely the model must rank."""
        return min(self.form, self.computed_in, key=_EXACTNESS.index)

    def __str__(self) -> str:
        if self.computed_in == self.precision:
            return self.precision
        return f"{self.form}, computed in {self.computed_in}"


def list_ways(precision: str, forms: Sequence[str]) -> list[Way]:
    """The ways that this processor has for a model whose weights are stored in these forms.

    `precision`: the configured one. With `auto`, the weights in f32 may also be computed in bf16.
    """
    fast = processor.fast_float()
    ways = [Way(form, form) for form in ("int8-fixed", "int8") if form in forms]
    if "bf16" in forms:
        ways.append(Way("bf16", fast))
    if "f32" in forms:
        floats = ("bf16", "f32") if precision == "auto" and fast == "bf16" else ("f32",)
        ways += [Way("f32", computed_in) for computed_in in floats]
    return ways


def last_resort(precision: str, forms: Sequence[str]) -> Way | None:
    """The same weights computed in f32, if `list_ways` has nothing in f32; else None."""
    ways = list_ways(precision, forms)
    return Way(forms[0], "f32") if all(way.computed_in != "f32" for way in ways) else None


def measure_ways(reads: Mapping[Way, Callable[[], object]]) -> dict[Way, float]:
    """Seconds of processor time of one call of each, in turn; takes about two seconds at most.

    The least of some rounds counts, because other work on the machine only adds to it. It ends when
    six rounds in turn have found nothing less. Processor time rather than the clock's, because that
    is what sidecar and OpenSearch share.
    """
    seconds = dict.fromkeys(reads, float("inf"))
    started = time.monotonic()
    unchanged = rounds = 0
    while unchanged < _ROUNDS_WITHOUT_CHANGE:
        if rounds >= _FEWEST_ROUNDS and time.monotonic() - started > _SECONDS:
            break
        rounds += 1
        unchanged += 1
        for way, read in reads.items():
            before = time.process_time()
            read()
            taken = time.process_time() - before
            if taken < seconds[way] * _LESS:
                unchanged = 0
            seconds[way] = min(seconds[way], taken)
    return seconds


def choose_way(seconds: Mapping[Way, float], closeness: Mapping[Way, float]) -> Way:
    """The fastest way; of those about as fast, the one that ranks most closely.

    `closeness`: Spearman's correlation of each way's ranking with the original's.
    """
    limit = min(seconds.values()) * _ALIKE
    alike = [way for way, taken in seconds.items() if taken <= limit]
    return max(
        alike, key=lambda way: (closeness[way], _EXACTNESS.index(way.precision), -seconds[way])
    )
