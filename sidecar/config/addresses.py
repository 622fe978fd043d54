"""Addresses in the configuration: `HOST:PORT`."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated, NamedTuple

from pydantic import BeforeValidator


class Address(NamedTuple):
    """A host and port to listen on; port 0 lets the system choose one."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]\s]+)):(\d{1,5})")


def read_address(value: object) -> Address:
    """Read `HOST:PORT` or `[IPv6]:PORT`; raises ValueError with the accepted form."""
    if isinstance(value, Address):
        return value
    match = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    if not match or int(match[3]) > 65535:
        shown = repr(value)[:60]
        raise ValueError(f"write it as HOST:PORT, for example 127.0.0.1:9201 (not {shown})")
    return Address(match[1] or match[2], int(match[3]))


def _read_publish_address(value: object) -> Address | None:
    if value is None:
        return None
    address = read_address(value)
    if not address.port:
        raise ValueError("no client can connect to port 0")
    return address


ListenAddress = Annotated[Address, BeforeValidator(read_address, json_schema_input_type=str)]
PublishAddress = Annotated[
    Address | None, BeforeValidator(_read_publish_address, json_schema_input_type=str | None)
]
