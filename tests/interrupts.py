"""Raises in a call at every point at which a signal handler, or another thread, could.

CPython runs signal handlers, and raises what PyThreadState_SetAsyncExc asks for, where a function
begins, after each call and where a loop turns back, and nowhere else. :func:`strike` raises at one
of these points of a call; who repeats that until nothing is raised any more has met them all. It
traces by opcode, so it finds what a thousand random signals miss.
"""

from __future__ import annotations

import dis
import functools
import gc
import os
import sys
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import publisher

_OURS = f"{Path(publisher.__file__).parent}{os.sep}"
_FUTURES = ("concurrent/futures/_base.py", "threading.py")


class Interrupted(BaseException):
    """What Ctrl-C, a soft time limit or an alarm raises."""


@functools.cache
def _points(code: CodeType) -> frozenset[int]:
    """The offsets before which the interpreter looks at signals."""
    found = set()
    instructions = list(dis.get_instructions(code))
    for number, one in enumerate(instructions):
        name = one.opname
        following = instructions[number + 1 : number + 2]
        if name.startswith("CALL") or name == "WITH_CLEANUP_START":
            # It is the call that raises; what handles that may end with it.
            found.update(
                after.offset
                for after in following
                if _handler(code, after.offset) == _handler(code, one.offset)
            )
        elif name == "RESUME" or (number == 0 and sys.version_info < (3, 11)):
            found.update(after.offset for after in following)
        elif (
            name.startswith(("JUMP", "POP_JUMP"))
            and isinstance(one.argval, int)
            # Before 3.11 each taken jump looks; since then only those that go back.
            and (
                one.argval <= one.offset or (sys.version_info < (3, 11) and name != "JUMP_FORWARD")
            )
        ):
            found.add(one.argval)
    return frozenset(found)


def _handler(code: CodeType, offset: int) -> int | None:
    """Where an exception at this offset goes; before 3.11 only the run of it knows."""
    if sys.version_info < (3, 11):
        return None
    # Nothing public tells.
    table: Any = dis._parse_exception_table(code)  # type: ignore[attr-defined]
    found = None
    for entry in table:
        if entry.start <= offset < entry.end:
            found = entry.target
    return found


Point = tuple[CodeType, int, int]
_TURNS = 2  # of a loop, or a function that is called again, so many are struck


def strike(
    call: Callable[[], Any],
    met: set[Point],
    spared: Collection[CodeType] = (),
    within: tuple[str, ...] = ("",),
) -> bool:
    """Call it, and raise :class:`Interrupted` at its first point that is not among those `met`.

    Whether it has one; what else the call raises is raised here. What runs beneath one of the
    `spared` is another thread's work. With `within`, only what is defined in files whose names end
    so is struck.
    """
    times: Counter[tuple[CodeType, int]] = Counter()
    beneath, struck = 0, False

    def spare(frame: FrameType, event: str, _: object) -> Any:
        nonlocal beneath
        if event == "return":
            beneath -= 1
        return spare

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal beneath, struck
        code = frame.f_code
        if code in spared and event == "call":
            beneath += 1
            return spare
        if (
            struck
            or beneath
            or not (code.co_filename.startswith(_OURS) or code.co_filename.endswith(_FUTURES))
        ):
            return None
        frame.f_trace = trace  # first: 3.13 looks whether there is one
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        if (
            event == "opcode"
            and not struck
            and frame.f_lineno is not None
            and frame.f_lasti in _points(code)
            and code.co_filename.endswith(within)
        ):
            place = (code, frame.f_lasti)
            times[place] += 1
            point = (*place, times[place])
            if times[place] <= _TURNS and point not in met:
                met.add(point)
                struck = True
                raise Interrupted
        return trace

    before = sys.gettrace()
    # Since 3.12 what settrace() finds set once decides whether there are such events at all.
    sys._getframe().f_trace_opcodes = True
    gc.disable()  # what dies by itself is nobody's to strike
    sys.settrace(trace)
    try:
        call()
    except Interrupted:
        pass
    finally:
        sys.settrace(before)
        gc.enable()
    return struck
