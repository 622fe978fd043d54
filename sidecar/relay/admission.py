"""Decides which client connections to accept, by free descriptors and by address."""

from __future__ import annotations

from typing import Final, Literal

from sidecar.relay.descriptors import limit, reserve_size

Refusal = Literal["out_of_descriptors", "too_many_connections"]

WORDS: Final[dict[Refusal, str]] = {
    "out_of_descriptors": "the proxy has as many connections as its limit of open files allows",
    "too_many_connections": "this address has as many open connections as limits."
    "connections_per_address allows",
}


class Admission:
    """Counts open client connections. Belongs to one event loop."""

    def __init__(self, per_address: int, in_use: int) -> None:
        """`per_address`: 0 for any number; `in_use`: descriptors that are already open."""
        most = limit()
        self.per_address = per_address
        self._addresses: dict[str, int] = {}
        self._last_descriptor = most - reserve_size(most)
        # A request in progress also needs a connection to a node.
        self.most = max((self._last_descriptor - in_use) // 2, 1)
        self.open = 0
        self._reserve = reserve_size(most)
        self._refused = 0

    def refusal(self, address: str, descriptor: int) -> Refusal | None:
        """Why to refuse a connection of this address with this descriptor; None to accept it."""
        if self.per_address and self._addresses.get(address, 0) >= self.per_address:
            return "too_many_connections"
        if self.open >= self.most or descriptor >= self._last_descriptor:
            return "out_of_descriptors"
        return None

    def enter(self, address: str) -> None:
        """Count an accepted connection of this address."""
        self.open += 1
        # Also without a limit: a new configuration may have one.
        self._addresses[address] = self._addresses.get(address, 0) + 1

    def leave(self, address: str) -> None:
        """An accepted connection of this address is closed."""
        self.open -= 1
        left = self._addresses[address] - 1
        if left:
            self._addresses[address] = left
        else:
            del self._addresses[address]

    def enter_refused(self) -> bool:
        """Count a connection that gets an error answer; False if no descriptor is free for it."""
        # Half of the reserve stays free for its real purpose.
        if self._refused >= max(self._reserve // 2, 1):
            return False
        self._refused += 1
        return True

    def leave_refused(self) -> None:
        """A connection that got an error answer is closed."""
        self._refused -= 1
