"""How does a chart answer a mouse, from a file and without network? Its SVG in one page, with a crosshair, zoom and pan."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The wheel zooms, dragging pans, a double click goes back; the crosshair reads the axes under the pointer.
SCRIPT = """
(function () {
  var box = document.currentScript.parentNode, svg = box.querySelector('svg'), out = box.querySelector('output');
  var axes = JSON.parse(box.dataset.axes), home = svg.viewBox.baseVal, at = {x: home.x, y: home.y, w: home.width, h: home.height};
  var full = Object.assign({}, at), from = null;
  svg.removeAttribute('height'); svg.setAttribute('width', '100%'); svg.style.touchAction = 'none';
  function show() { svg.setAttribute('viewBox', [at.x, at.y, at.w, at.h].join(' ')); }
  function point(e) {
    var r = svg.getBoundingClientRect();
    return {x: at.x + (e.clientX - r.left) / r.width * at.w, y: at.y + (e.clientY - r.top) / r.height * at.h};
  }
  function value(low, high, share, scale) {
    return scale === 'log' ? low * Math.pow(high / low, share) : low + share * (high - low);
  }
  function read(p) {
    var fx = (p.x - full.x) / full.w, fy = 1 - (p.y - full.y) / full.h;
    for (var i = 0; i < axes.length; i++) {
      var a = axes[i], sx = (fx - a.x0) / (a.x1 - a.x0), sy = (fy - a.y0) / (a.y1 - a.y0);
      if (sx < 0 || sx > 1 || sy < 0 || sy > 1) continue;
      var x = value(a.xlim[0], a.xlim[1], sx, a.xscale), y = value(a.ylim[0], a.ylim[1], sy, a.yscale);
      var xs = a.dates ? new Date(x * 864e5).toISOString().slice(0, 10) : a.labels ? (a.labels[Math.round(x)] || '') : +x.toPrecision(4);
      return xs + ' · ' + (a.name ? a.name + ' ' : '') + (+y.toPrecision(4));
    }
    return '';
  }
  svg.addEventListener('wheel', function (e) {
    e.preventDefault();
    var p = point(e), k = Math.pow(1.0015, e.deltaY); k = Math.min(k, full.w / at.w);
    at = {x: p.x - (p.x - at.x) * k, y: p.y - (p.y - at.y) * k, w: at.w * k, h: at.h * k}; show();
  }, {passive: false});
  svg.addEventListener('pointerdown', function (e) { from = point(e); svg.setPointerCapture(e.pointerId); });
  svg.addEventListener('pointerup', function () { from = null; });
  svg.addEventListener('pointermove', function (e) {
    var p = point(e); out.textContent = read(p);
    if (from) { at.x += from.x - p.x; at.y += from.y - p.y; show(); }
  });
  svg.addEventListener('dblclick', function () { at = Object.assign({}, full); show(); });
})();
"""


def interactive_page(figure: Figure) -> str:
    """A whole HTML page that holds the chart and needs nothing else."""
    title = next((text.get_text() for text in figure.texts), "chart")
    ground = _hex(figure.get_facecolor())
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escaped(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>body{{margin:0;background:{ground}}}</style></head><body>{interactive(figure)}</body></html>\n"
    )


def interactive(figure: Figure) -> str:
    """The chart as a piece of a page."""
    from evolve.charts.picture import drawn

    svg = drawn(figure, "svg").decode()
    svg = svg[svg.index("<svg") :]
    axes = escaped(json.dumps([_axes(one) for one in figure.axes], allow_nan=False))
    return (
        f'<figure data-axes="{axes}" style="margin:0;max-width:1200px">{svg}'
        '<output style="font:13px sans-serif;color:#888;display:block;min-height:1.3em;padding:0 1em"></output>'
        f"<script>{SCRIPT}</script></figure>"
    )


def escaped(text: str) -> str:
    import html

    return html.escape(text, quote=True)


def _axes(axes: Any) -> dict[str, Any]:
    """Where the axes lie in the picture (fractions, from below) and which values they span."""
    from matplotlib.dates import AutoDateFormatter, ConciseDateFormatter

    place = axes.get_position()
    formatter = axes.xaxis.get_major_formatter()
    found: dict[str, Any] = {
        "x0": place.x0, "x1": place.x1, "y0": place.y0, "y1": place.y1, "xlim": list(axes.get_xlim()), "ylim": list(axes.get_ylim()),
        "xscale": axes.get_xscale(), "yscale": axes.get_yscale(), "name": axes.get_ylabel(),
        "dates": isinstance(formatter, ConciseDateFormatter | AutoDateFormatter),
    }  # fmt: skip
    return found


def _hex(colour: Any) -> str:
    from matplotlib.colors import to_hex

    return to_hex(colour)
