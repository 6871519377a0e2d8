"""Where may a picture be written? Inside the plots directory, and nowhere else."""

from __future__ import annotations

from pathlib import Path

from evolve.charts.picture import FORMATS, Format, format_of
from evolve.errors import Forbidden, InvalidRequest

REPORTS = (".html", ".pdf")
MAX_PATH = 1_000  # characters; file systems end names at 255 and paths at 4,096


def plot_path(save_path: str, plots: Path, *, format: Format | None = None) -> Path:
    """The file that `save_path` means: `plots/x.png` or `x.png` lie in the plots directory, an absolute path must too.

    format: what the asker wants; None: what the ending says. Raises InvalidRequest for a name that can be no picture's, Forbidden
    for one outside of the directory or one that leads out of it over a link.
    """
    target = _inside(save_path, plots)
    written = format_of(target)
    if format is not None and written != format:
        raise InvalidRequest(
            f"{target.name!r} does not end with .{format}, the format asked for; use one of {', '.join(FORMATS)}"
        )
    return target


def report_path(save_path: str, plots: Path) -> Path:
    """The same for a report, which is a page or a PDF. Raises as `plot_path` does."""
    target = _inside(save_path, plots)
    if target.suffix.lower() not in REPORTS:
        raise InvalidRequest(f"{target.name!r} names no report; end it with {' or '.join(REPORTS)}")
    return target


def _inside(save_path: str, plots: Path) -> Path:
    if not save_path or len(save_path) > MAX_PATH or not save_path.isprintable():
        raise InvalidRequest(f"{save_path[:80]!r} is no path for a picture; give one such as plots/equity.png")
    asked = Path(save_path)
    parts = asked.parts[1:] if not asked.is_absolute() and asked.parts[:1] == ("plots",) else asked.parts
    target = asked if asked.is_absolute() else plots.joinpath(*parts)
    root = plots.resolve()
    # Resolved as far as it exists: a link inside the directory that leads out is as good as `..`.
    inside = target.parent.resolve()
    if not (inside == root or root in inside.parents):
        raise Forbidden(f"{save_path!r} lies outside of {plots}: pictures are written there only")
    target = inside / target.name
    if target.is_symlink() or (target.exists() and not target.is_file()):
        raise Forbidden(f"{save_path!r} is a link or no file; give the name of a picture")
    return target
