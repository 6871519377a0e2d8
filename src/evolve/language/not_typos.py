"""Which everyday words look like a slip of a name we know? Writes `data/not_typos.tsv`: `python -m evolve.language.not_typos WORDLIST`.

The list shipped was made from SCOWL's small list of American English (Kevin Atkinson; free to use, copy, modify and sell with its
notice, which stands in NOTICE); on Debian it is the package `wamerican-small`. Run it again when names or lexicon grow.
"""

from __future__ import annotations

import sys
from pathlib import Path

from evolve.language.gazetteer import spelling
from evolve.language.similarity import SHORTEST_FUZZY
from evolve.language.text import fold

HEADER = (
    "# Words of everyday English within one slip of a name or a word of ours: never corrected. "
    "Made by `python -m evolve.language.not_typos` from SCOWL; see NOTICE.\n"
)


def words_near_names(lines: list[str]) -> list[str]:
    """The plain words among `lines` that a speller would turn into one of ours, sorted."""
    known = spelling()
    words = {fold(line.strip().removesuffix("'s")) for line in lines}
    plain = (word for word in words if word.isascii() and word.isalpha() and len(word) >= SHORTEST_FUZZY)
    return sorted(word for word in plain if (near := known.nearest(word)) is not None and near[0] != word)


def main(wordlist: str) -> int:
    found = words_near_names(Path(wordlist).read_text(encoding="utf-8").splitlines())
    target = Path(__file__).parent / "data" / "not_typos.tsv"
    target.write_text(f"{HEADER}word\t{'|'.join(found)}\n", encoding="utf-8")
    print(f"{len(found)} words written to {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
