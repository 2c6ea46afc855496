"""A clock for tests of what depends on time."""


class SetClock:
    """A clock in seconds that stands until the test moves it."""

    def __init__(self, now: float = 100.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
