"""Stacks of running threads as one line: functions, files and line numbers, but no values."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from types import FrameType
from typing import Final

_DEPTH: Final = 8
"""Maximum number of calls shown for one stack, beginning with the innermost."""

_OF_OTHERS: Final = 3
_LOOP: Final = ("asyncio/events.py", "asyncio/base_events.py", "asyncio/runners.py")
_IDLE: Final = frozenset(
    ("threading.py", "queue.py", "concurrent/futures/thread.py", "selectors.py", "socketserver.py")
)
"""The files in which an idle thread waits."""

_reading: Final = threading.Lock()


def read_frames() -> dict[int, FrameType]:
    """The current frame of each other thread, by its `ident`. No garbage is collected meanwhile.

    The caller's own frame would refer to the result, and such a cycle keeps everything that the
    other threads work on until a full garbage collection.

    CPython holds a lock of its own in this call. A collection within it may run a finalizer, and so
    let another thread run. If that thread needs the same lock, for example to start a thread, the
    whole process stops forever. CPython itself does the same in later releases (gh-106883).
    """
    with _reading:
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            frames = sys._current_frames()
            del frames[threading.get_ident()]
            return frames
        finally:
            if was_enabled:
                gc.enable()


def describe_stack(frame: FrameType | None) -> str:
    """The calls from this one out to the event loop: `name (folder/file.py:7) < caller ...`."""
    calls = list(_calls(frame, _DEPTH))
    return " < ".join(calls) or "the event loop's own code"


def other_stacks(frames: Mapping[int, FrameType], but: int) -> str:
    """What each busy thread of `frames` does, except the thread `but`."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return "; ".join(
        f"{names.get(ident, 'unknown')} in {' < '.join(_calls(frame, _OF_OTHERS))}"
        for ident, frame in frames.items()
        if ident != but and _short(frame.f_code.co_filename) not in _IDLE
    )


def _calls(frame: FrameType | None, most: int) -> Iterator[str]:
    for _ in range(most):
        if frame is None or frame.f_code.co_filename.endswith(_LOOP):
            return
        code = frame.f_code
        yield f"{code.co_qualname} ({_short(code.co_filename)}:{frame.f_lineno})"
        frame = frame.f_back


def _short(file: str) -> str:
    """The file's name, with its folder where that is needed to distinguish it from others."""
    parts = PurePath(file).parts
    if parts[-2:-1] and parts[-2].startswith("python"):
        return parts[-1]
    return "/".join(parts[-3:] if parts[-3:-2] == ("concurrent",) else parts[-2:])
