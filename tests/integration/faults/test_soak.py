"""What the soak calls flat, and what it does not."""

import pytest

from lab.soak import Sample, growth, rising

MIB = 1 << 20


def samples(rss: list[float], descriptors: list[int] | None = None) -> list[Sample]:
    """One a minute."""
    counts = descriptors or [20] * len(rss)
    return [
        Sample(60.0 * number, int(size * MIB), count)
        for number, (size, count) in enumerate(zip(rss, counts, strict=True))
    ]


@pytest.mark.parametrize(
    ("points", "expected"),
    [([(0, 1), (10, 1)], 0), ([(0, 1), (10, 3)], 2), ([(0, 0), (5, 10), (10, 0)], 0), ([(0, 4), (10, 0)], -4)],
)
def test_growth_is_what_the_line_rises(points: list[tuple[float, float]], expected: float) -> None:
    assert growth(points) == pytest.approx(expected)


def test_one_point_has_no_growth() -> None:
    with pytest.raises(ValueError, match="expected two or more"):
        growth([(0, 1)])


@pytest.mark.parametrize(
    ("rss", "found"),
    [
        ([40, 60, 60, 60, 60], []),
        ([60, 60, 63, 60, 62], []),
        ([60, 60, 62, 64, 66], ["memory rises by 6.0 MiB"]),
    ],
    ids=["only at first", "up and down", "on and on"],
)
def test_memory_that_rises_on_and_on_is_told(rss: list[float], found: list[str]) -> None:
    assert rising(samples(rss), 60.0) == found


def test_descriptors_that_are_never_closed_are_told() -> None:
    assert rising(samples([60] * 5, [20, 25, 30, 35, 40]), 60.0) == ["file descriptors rise by 15"]
