from __future__ import annotations

from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from evolve.language.similarity import FuzzyVocabulary, osa_distance, similarity

WORDS = st.text("abcde", max_size=9)


def naive_osa(left: str, right: str) -> int:
    """The definition, by recursion: the oracle."""

    @cache
    def d(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return i + j
        best = min(d(i - 1, j) + 1, d(i, j - 1) + 1, d(i - 1, j - 1) + (left[i - 1] != right[j - 1]))
        if i > 1 and j > 1 and left[i - 1] == right[j - 2] and left[i - 2] == right[j - 1]:
            best = min(best, d(i - 2, j - 2) + 1)
        return best

    return d(len(left), len(right))


@given(WORDS, WORDS, st.integers(0, 9))
@settings(max_examples=300, deadline=None)
def test_the_band_agrees_with_the_definition_up_to_the_limit(left: str, right: str, limit: int):
    assert osa_distance(left, right, limit=limit) == min(naive_osa(left, right), limit + 1)


def test_a_swap_of_neighbours_is_one_edit():
    # hand count: nvdia → nvida → nvidia is a swap and an insertion away; teslla one deletion of six letters
    assert osa_distance("aplpe", "apple", limit=3) == 1
    assert similarity("teslla", "tesla") == 1 - 1 / 6


def test_weather_is_not_ether():
    assert similarity("weather", "ether") < 0.80
    assert FuzzyVocabulary(["ether"]).nearest("weather") is None


@given(
    st.lists(st.text("abcde", min_size=5, max_size=8), min_size=1, max_size=8), st.text("abcde", min_size=5, max_size=9)
)
@settings(max_examples=150, deadline=None)
def test_the_nearest_word_is_found_wherever_one_is_similar_enough(vocabulary: list[str], word: str):
    found = FuzzyVocabulary(vocabulary).nearest(word)
    best = max(similarity(word, candidate) for candidate in vocabulary)

    if best >= 0.80 + 1e-9:
        assert found is not None
        assert abs(found[1] - best) < 1e-9
    elif best < 0.80 - 1e-9:
        assert found is None
