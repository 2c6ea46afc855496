"""What goes wrong with the probe."""


class ProbeError(Exception):
    """The probe cannot work here or has stopped working; the message is one line for an operator."""
