"""What ends a release."""


class ReleaseError(Exception):
    """A release cannot be built; the text names the thing, what is wrong with it and what would be right."""
