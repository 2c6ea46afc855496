"""What the tests of the spool and of delivery share."""

from lab.spooling import spool, state

__all__ = ["spool", "state"]
