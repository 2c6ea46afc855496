"""Sizes of claims are compared as Kubernetes means them, not as text."""

from decimal import Decimal

import pytest
from ansible.errors import AnsibleFilterError

from unit.roles.loading import load

_FILTERS = load("backend/filter_plugins/kubernetes_quantity.py").FilterModule().filters()


@pytest.mark.parametrize(
    ("quantity", "value"),
    [("10Gi", 10 * 1024**3), ("10G", 10 * 1000**3), ("500m", "0.5"), ("2", 2), (3, 3), ("1.5Ki", 1536)],
)
def test_a_quantity_is_a_number(quantity: str | int, value: int | str) -> None:
    """With every suffix that a claim or a limit may have."""
    assert _FILTERS["kubernetes_quantity"](quantity) == Decimal(value)


@pytest.mark.parametrize("text", ["Gi", "ten", "10GiB", ""])
def test_what_is_no_quantity_is_named(text: str) -> None:
    """The error has the value and says what would be right."""
    with pytest.raises(AnsibleFilterError, match=rf"'{text}' is no Kubernetes quantity: expected one like 10Gi"):
        _FILTERS["kubernetes_quantity"](text)
