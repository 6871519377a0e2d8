"""Colours that colour-blind readers can tell apart, on either background."""

from __future__ import annotations

import pytest

from evolve.charts.theme import DASHES, THEMES, line_of

# Okabe & Ito (2008), Color Universal Design, without black.
OKABE_ITO = {"#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"}


def luminance(colour: str) -> float:
    """Relative luminance of sRGB: WCAG 2.1, section 1.4.3."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_lines_are_of_the_okabe_ito_palette_and_stand_out_from_the_background(theme):
    assert set(theme.lines) <= OKABE_ITO
    assert min(contrast(line, theme.background) for line in theme.lines) >= 2


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_text_has_the_contrast_that_wcag_asks_for(theme):
    assert min(contrast(theme.text, theme.background), contrast(theme.muted, theme.background)) >= 4.5


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_no_two_curves_look_alike_until_all_colours_and_dashes_are_used(theme):
    pairs = len(theme.lines) * len(DASHES)

    assert len({line_of(curve, theme) for curve in range(pairs)}) == pairs
