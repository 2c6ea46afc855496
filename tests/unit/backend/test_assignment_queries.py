"""Percentiles of counted values."""

import random
import statistics
from collections import Counter

import pytest

from watcher_backend.assignment_queries import percentile


@pytest.mark.parametrize("seed", range(50))
def test_a_percentile_is_that_of_the_values_one_by_one(seed: int) -> None:
    """The standard library's inclusive method is the same definition, on values that are not counted."""
    chance = random.Random(seed)
    values = [chance.randrange(0, 40) for _ in range(chance.randrange(2, 200))]
    counted = sorted(Counter(values).items())
    cut = statistics.quantiles(values, n=100, method="inclusive")
    assert percentile(counted, 90) == pytest.approx(cut[89])
    assert percentile(counted, 50) == pytest.approx(cut[49])


def test_a_single_value_is_every_percentile() -> None:
    assert [percentile([(7, 1)], percent) for percent in (50, 90)] == [7, 7]
