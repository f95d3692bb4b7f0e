"""Telling by a file's first bytes whether it is compressed, or no text with lines."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING, cast

from ._console import InputError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_GZIP = b"\x1f\x8b\x08"
_UTF_8 = b"\xef\xbb\xbf"
_DECODE = "decode it first: iconv -f {} -t UTF-8 {{}} | python -m publisher send ..."
_UNPACK = "unpack it first: {} {{}} | python -m publisher send ..."
#: What is refused, by its first bytes: what it is, and what to type.
_REFUSED = {
    b"\xff\xfe\x00\x00": ("UTF-32", _DECODE.format("UTF-32")),
    b"\x00\x00\xfe\xff": ("UTF-32", _DECODE.format("UTF-32")),
    b"\xff\xfe": ("UTF-16", _DECODE.format("UTF-16")),
    b"\xfe\xff": ("UTF-16", _DECODE.format("UTF-16")),
    b"\xfd7zXZ\x00": ("compressed by xz", _UNPACK.format("xz -dc")),
    b"\x28\xb5\x2f\xfd": ("compressed by zstd", _UNPACK.format("zstd -dc")),
    b"PK\x03\x04": ("a zip archive", _UNPACK.format("unzip -p")),
    **{
        b"BZh%d1AY&SY" % level: ("compressed by bzip2", _UNPACK.format("bzip2 -dc"))
        for level in range(1, 10)
    },
}


class _Joined(io.RawIOBase):
    """Bytes that were read already, then the rest of the file; nothing is read ahead."""

    def __init__(self, head: bytes, file: IO[bytes]) -> None:
        self._head = head
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        if self._head:
            read, self._head = self._head[: len(view)], self._head[len(view) :]
        else:
            read = self._file.read1(len(view))  # type: ignore[attr-defined] # all that we open
        view[: len(read)] = read
        return len(read)


def content(name: str, file: IO[bytes]) -> IO[bytes]:
    """The lines' bytes of a file: decompressed, without a mark.

    Args:
        name: of the file, for people.
        file: where its first byte is next; it is read no further than its lines are.

    Raises:
        InputError: nothing that can be sent by lines.
        OSError, EOFError, zlib.error: it cannot be read.
    """
    head = _head(file, (_GZIP, _UTF_8, *_REFUSED))
    if head == _GZIP:
        file = cast("IO[bytes]", gzip.GzipFile(fileobj=io.BufferedReader(_Joined(head, file))))
        head = _head(file, (_UTF_8, *_REFUSED))
    elif head and name.endswith(".gz"):
        raise InputError(f"{name} is not what gzip makes, for all its name")
    found = max((mark for mark in _REFUSED if head.startswith(mark)), key=len, default=None)
    if found is not None:
        what, advice = _REFUSED[found]
        raise InputError(f"{name} is {what}; {advice.format(name)}")
    return io.BufferedReader(_Joined(head.removeprefix(_UTF_8), file))


def _head(file: IO[bytes], marks: Iterable[bytes]) -> bytes:
    """As few bytes as tell which mark a file begins with: of a pipe more may be long in coming."""
    head = file.read(1)
    while any(mark.startswith(head) and mark != head for mark in marks):
        more = file.read(1)
        if not more:
            break
        head += more
    return head
