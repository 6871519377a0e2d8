"""How does Prometheus read figures? Families of samples as its text format has them, or as OpenMetrics, which shows exemplars too.

Sources: the Prometheus text exposition format, version 0.0.4; OpenMetrics 1.0.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from evolve.messaging.figures import Exemplar

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
QUALITY = re.compile(r"q=([0-9.]+)")

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Family:
    """What one metric is. name: as it is queried, of a counter with `_total`; labels: those that every sample has."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()

    @property
    def samples(self) -> tuple[str, ...]:
        """The names under which its samples are queried."""
        return (
            tuple(f"{self.name}{end}" for end in ("_bucket", "_sum", "_count"))
            if self.kind == "histogram"
            else (self.name,)
        )


@dataclass(frozen=True, slots=True)
class Value:
    """Of a counter or gauge; labels in the order of the family's."""

    labels: tuple[str, ...]
    value: float


@dataclass(frozen=True, slots=True)
class Histogram:
    """bounds: upper ends of the buckets but the last, which has none; counts: of each bucket alone; exemplars: by bucket."""

    labels: tuple[str, ...]
    bounds: Sequence[float]
    counts: Sequence[float]
    total: float
    exemplars: Mapping[int, Exemplar]


Shown = tuple[Family, Iterable[Value] | Iterable[Histogram]]


def accepted(accept: str) -> bool:
    """Whether who asks reads OpenMetrics at least as gladly as the older format."""

    def gladly(kind: str) -> float:
        found = [part for part in accept.lower().split(",") if part.strip().startswith(kind)]
        marks = [float(mark[1]) if (mark := QUALITY.search(part)) else 1.0 for part in found]
        return max(marks, default=0.0)

    return (wanted := gladly("application/openmetrics-text")) > 0 and wanted >= gladly("text/plain")


def page(shown: Iterable[Shown], *, open_metrics: bool) -> str:
    """The whole exposition."""
    lines: list[str] = []
    for family, samples in shown:
        # OpenMetrics names a family of counters without the ending that its samples have.
        name = family.name.removesuffix("_total") if open_metrics and family.kind == "counter" else family.name
        lines += [f"# HELP {name} {_escaped_help(family.help, open_metrics)}", f"# TYPE {name} {family.kind}"]
        for sample in samples:
            if isinstance(sample, Histogram):
                lines += _histogram(family, sample, open_metrics)
            else:
                lines.append(_line(family.name, _labels(family, sample.labels), sample.value))
    if open_metrics:
        lines.append("# EOF")
    return "\n".join(lines) + "\n"


def _labels(family: Family, values: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(family.labels, values, strict=True))


def _histogram(family: Family, one: Histogram, open_metrics: bool) -> Iterable[str]:
    labels = _labels(family, one.labels)
    running = 0.0
    for number, (bound, count) in enumerate(zip((*one.bounds, None), one.counts, strict=True)):
        running += count
        line = _line(
            f"{family.name}_bucket", {**labels, "le": "+Inf" if bound is None else repr(float(bound))}, running
        )
        exemplar = one.exemplars.get(number)
        yield f"{line} # {_exemplar(exemplar)}" if exemplar is not None and open_metrics else line
    yield _line(f"{family.name}_sum", labels, one.total)
    yield _line(f"{family.name}_count", labels, running)


def _exemplar(one: Exemplar) -> str:
    return f"{_set(one.labels)} {_number(one.value)} {one.at:.3f}"


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    return f"{name}{_set(labels) if labels else ''} {_number(value)}"


def _set(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items()) + "}"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _escaped_help(text: str, open_metrics: bool) -> str:
    shown = text.replace("\\", r"\\").replace("\n", r"\n")
    return shown.replace('"', r"\"") if open_metrics else shown
