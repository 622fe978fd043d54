"""A secret of this process, which the workers of one parent share.

Digests of callers and codes in ids are keyed by it, so that they reveal nothing and nobody else can
make them. Workers must make the same ones: a client's next request may reach another worker.
"""

from __future__ import annotations

import os
import secrets
from typing import Final

VARIABLE: Final = "RESCORE_SIDECAR_SECRET"
"""The environment variable by which a parent tells its workers their secret."""


def create_secret() -> str:
    """A new secret, as the environment variable holds it."""
    return secrets.token_hex(32)


# Programs that this process starts do not get it.
PROCESS_SECRET: Final = bytes.fromhex(os.environ.pop(VARIABLE, "") or create_secret())
