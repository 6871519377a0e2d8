"""How alike are two words? Optimal string alignment: insert, delete, replace, or swap two neighbours.

Source: Boytsov (2011), Indexing methods for approximate dictionary searching, J. Exp. Algorithmics 16. Only a band of the matrix
is filled, since a distance above the limit is of no use.
"""

from __future__ import annotations

from collections.abc import Iterable

SHORTEST_FUZZY = 5  # letters; below it one slip makes another word
LEAST_SIMILARITY = 0.80


def osa_distance(left: str, right: str, *, limit: int) -> int:
    """Edits between the words, or `limit + 1` when there are more than `limit`."""
    if len(left) > len(right):
        left, right = right, left
    if len(right) - len(left) > limit:
        return limit + 1
    far = limit + 1
    width = len(left) + 1
    before = [far] * width
    row = [column if column <= limit else far for column in range(width)]
    for i in range(1, len(right) + 1):
        current = [far] * width
        if i <= limit:
            current[0] = i
        best = current[0]
        for j in range(max(1, i - limit), min(width - 1, i + limit) + 1):
            cost = row[j - 1] + (right[i - 1] != left[j - 1])
            cost = min(cost, row[j] + 1, current[j - 1] + 1)
            if i > 1 and j > 1 and right[i - 1] == left[j - 2] and right[i - 2] == left[j - 1]:
                cost = min(cost, before[j - 2] + 1)
            current[j] = min(cost, far)
            best = min(best, cost)
        if best > limit:
            return far
        before, row = row, current
    return row[-1]


def similarity(left: str, right: str) -> float:
    """1 for equal words, 0 for nothing in common: one minus edits per letter of the longer word."""
    longer = max(len(left), len(right))
    if longer == 0:
        return 1.0
    return 1.0 - osa_distance(left, right, limit=longer) / longer


def _letters(word: str) -> int:
    mask = 0
    for character in word:
        mask |= 1 << (ord(character) & 63)
    return mask


class FuzzyVocabulary:
    """Known words, ready to be asked for the one most like a mistyped one."""

    def __init__(self, words: Iterable[str]) -> None:
        self._by_length: dict[int, list[str]] = {}
        self._masked: dict[int, list[tuple[str, int]]] = {}
        for word in sorted(set(words)):
            if len(word) >= SHORTEST_FUZZY and word.isalpha():
                self._by_length.setdefault(len(word), []).append(word)

    def _of_length(self, length: int) -> list[tuple[str, int]]:
        # Masks are made at the first question for a length: most queries have no typo at all.
        if length not in self._masked:
            self._masked[length] = [(word, _letters(word)) for word in self._by_length.get(length, ())]
        return self._masked[length]

    def nearest(self, word: str) -> tuple[str, float] | None:
        """The most similar word of at least `LEAST_SIMILARITY` and its similarity; the same first letter wins a tie."""
        if len(word) < SHORTEST_FUZZY or len(word) > 24:
            return None
        mask = _letters(word)
        best: tuple[float, bool, str] | None = None
        slack = int(len(word) * (1 - LEAST_SIMILARITY) / LEAST_SIMILARITY + 1e-9)
        for length in range(len(word) - slack, len(word) + slack + 1):
            longer = max(length, len(word))
            limit = int(longer * (1 - LEAST_SIMILARITY) + 1e-9)
            for candidate, candidate_mask in self._of_length(length):
                # Each edit changes at most two letters of the set.
                if (mask ^ candidate_mask).bit_count() > 2 * limit:
                    continue
                distance = osa_distance(word, candidate, limit=limit)
                if distance > limit:
                    continue
                found = (1 - distance / longer, candidate[0] == word[0], candidate)
                if best is None or found[:2] > best[:2]:
                    best = found
        return None if best is None else (best[2], best[0])
