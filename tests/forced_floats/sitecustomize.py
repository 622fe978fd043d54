"""Makes `bf16` or `f32` the quick floats: Python runs this first when it is on PYTHONPATH.

`tools/processors.py` sets FORCED_FLOATS, for the tests and for every process that they start.
"""

import os

from sidecar.models.backends import processor

if floats := os.environ.get("FORCED_FLOATS"):
    processor.fast_float = lambda: str(floats)
