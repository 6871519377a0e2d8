"""How does a value show itself in a notebook? It asks whoever can draw it; here on the ground nobody can.

Notebooks call `_repr_html_` of what a cell returns. Cards, replies and bars stand below the charts that they are shown with, so the
module that draws them is named, not imported, and loaded when the first of them is shown: a program that shows nothing loads no chart.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable

DRAWN_BY = "evolve.display"


class Shown:
    """Shows itself as HTML where a notebook asks for it."""

    __slots__ = ()

    def _repr_html_(self) -> str | None:
        """None where there is nothing better than the plain text."""
        html: str | None = importlib.import_module(DRAWN_BY).html_of(self)
        return html


def together(values: Iterable[object]) -> str | None:
    """What several values show, one below the other; None when none of them shows itself."""
    shown = [value._repr_html_() for value in values if isinstance(value, Shown)]
    return "".join(html for html in shown if html) or None
