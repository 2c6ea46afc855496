"""A network of the lab's own: a bridge, its addresses, and the way out to the package mirrors."""

import json
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

from lab.commands import call

_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
_PREFIX = "wlab"
# A bridge's alias keeps what has to be put back with it, so that also another run can do it.
_FORWARDING_WAS_OFF = "forwarding was off"


class Bridge:
    """Bridge number N with the machine on it as 10.99.N.1; what is on it gets out through the machine."""

    def __init__(self, number: int) -> None:
        """Nothing is set up yet."""
        self.name = f"{_PREFIX}{number}"
        self.network = IPv4Network(f"10.99.{number}.0/24")
        self.gateway = self.network[1]

    def is_free(self) -> bool:
        """Whether no interface of this machine has the name or an address that overlaps."""
        if self.name in _links():
            return False
        shown = json.loads(call("ip", "-json", "-4", "address", "show"))
        addresses = [address for link in shown for address in link["addr_info"]]
        networks = [IPv4Interface(f"{a['local']}/{a['prefixlen']}").network for a in addresses]
        return not any(network.overlaps(self.network) for network in networks)

    def set_up(self) -> None:
        """Make the bridge and let this machine forward for it."""
        call("ip", "link", "add", self.name, "type", "bridge")
        call("ip", "address", "add", f"{self.gateway}/{self.network.prefixlen}", "dev", self.name)
        call("ip", "link", "set", self.name, "up")
        if _FORWARD.read_text().strip() == "0":
            call("ip", "link", "set", self.name, "alias", _FORWARDING_WAS_OFF)
            _FORWARD.write_text("1")
        call("nft", "-f", "-", text=self._rules())

    def _rules(self) -> str:
        return f"""
            table ip {self.name} {{
                chain postrouting {{
                    type nat hook postrouting priority srcnat;
                    ip saddr {self.network} oifname != "{self.name}" masquerade
                }}
            }}
        """

    def take_down(self) -> None:
        """Remove what is there of it."""
        # "add" makes what is missing, so that "delete" cannot fail on it.
        call("nft", "-f", "-", text=f"add table ip {self.name}\ndelete table ip {self.name}")
        links = _links()
        if self.name not in links:
            return
        call("ip", "link", "delete", self.name)
        if links[self.name].get("ifalias") == _FORWARDING_WAS_OFF:
            _hand_over_forwarding([name for name in links if name.startswith(_PREFIX) and name != self.name])


def _hand_over_forwarding(bridges: list[str]) -> None:
    """Switch forwarding off with the last bridge that needs it."""
    if bridges:
        call("ip", "link", "set", bridges[0], "alias", _FORWARDING_WAS_OFF)
    else:
        _FORWARD.write_text("0")


def _links() -> dict[str, dict[str, Any]]:
    """This machine's interfaces by name."""
    return {link["ifname"]: link for link in json.loads(call("ip", "-json", "link", "show"))}
