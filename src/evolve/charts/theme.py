"""Which colours, lines and sizes make a picture legible: at thumbnail size, on paper, and to colour-blind readers?

Colours are those of Okabe & Ito (2008), "Color Universal Design". Beyond six curves the dash pattern changes, so that no two look alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ThemeName = Literal["light", "dark"]


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours as hex. lines: one per curve, in order of use; those too pale for the background are left out of its list.

    rise, fall: what gained and what lost; apart in brightness as well as in hue."""

    background: str
    text: str
    muted: str
    grid: str
    watermark: str
    lines: tuple[str, ...]
    rise: str
    fall: str


THEMES: dict[ThemeName, Theme] = {
    "light": Theme(
        background="#ffffff",
        text="#1a1a1a",
        muted="#5f6368",
        grid="#dcdfe3",
        watermark="#d55e00",
        # Blue, vermillion, green, purple, orange, sky blue; yellow cannot be read on white.
        lines=("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"),
        rise="#0072b2",
        fall="#e69f00",
    ),
    "dark": Theme(
        background="#14171c",
        text="#f1f3f4",
        muted="#a8adb4",
        grid="#343a42",
        watermark="#e69f00",
        # Sky blue, orange, green, purple, yellow, vermillion; blue and black cannot be read on black.
        lines=("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#d55e00"),
        rise="#56b4e9",
        fall="#d55e00",
    ),
}

DASHES: tuple[str, ...] = ("-", "--", "-.", ":")


def line_of(curve: int, theme: Theme) -> tuple[str, str]:
    """Colour and dash pattern of the n-th curve; all differ for as many curves as there are pairs."""
    return theme.lines[curve % len(theme.lines)], DASHES[(curve // len(theme.lines)) % len(DASHES)]
