"""Filter `kubernetes_quantity`: what "10Gi" or "500m" is as a number, so that two of them can be compared."""

from collections.abc import Callable
from decimal import Decimal

from ansible.errors import AnsibleFilterError
from kubernetes.utils.quantity import parse_quantity


def kubernetes_quantity(value: str | int) -> Decimal:
    """A quantity's value in its base unit (bytes, cores). Raises AnsibleFilterError where it is none."""
    try:
        return Decimal(parse_quantity(str(value)))
    except ValueError as error:
        raise AnsibleFilterError(f"{value!r} is no Kubernetes quantity: expected one like 10Gi") from error


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[[str | int], Decimal]]:
        """The filters by name."""
        return {"kubernetes_quantity": kubernetes_quantity}
