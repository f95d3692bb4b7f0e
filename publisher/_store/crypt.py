"""Encryption of what is private in a record: AES-GCM, with a key of its own for every segment.

``cryptography`` is imported here, and only when a key is given: it is the extra ``spool``.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable, Sequence

_NONCE = 12
_SIZES = (16, 24, 32)  # bytes of a key; what encrypts a segment is made from it, and has 32
#: How much longer a payload is when it is encrypted: a nonce before it, a tag behind it.
OVERHEAD = _NONCE + 16


class Codec:
    """Makes sealers from the keys that were given.

    Args:
        keys: of 16, 24 or 32 bytes each; the first one encrypts, all of them decrypt.

    Raises:
        ValueError: there is no key, or one of another length. Its text does not show the key.
        ImportError: ``cryptography`` is not installed.
    """

    __slots__ = ("_cipher", "_keys")

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) not in _SIZES for key in keys):
            raise ValueError("keys are of 16, 24 or 32 bytes, as os.urandom(32) makes them")
        try:
            from cryptography.exceptions import InvalidTag
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError as error:
            raise ImportError(
                "a spool's key needs cryptography: pip install 'boto3-publisher[spool]'"
            ) from error
        self._keys = tuple(keys)
        self._cipher = (AESGCM, InvalidTag)

    def __repr__(self) -> str:
        return f"<Codec with {len(self._keys)} keys>"

    def sealer(self, name: str) -> Sealer:
        """What seals and opens the payloads of the segment of that name.

        A key of each segment's own keeps nonces apart: random ones of 96 bits may meet once some
        billions were drawn for one key, and no segment has that many records.
        """
        cipher, invalid = self._cipher
        ciphers = [
            cipher(hmac.digest(key, b"publisher spool " + name.encode(), hashlib.sha256))
            for key in self._keys
        ]
        return Sealer(ciphers[0].encrypt, [one.decrypt for one in ciphers], invalid)


class Sealer:
    """Seals and opens the payloads of one segment."""

    __slots__ = ("_decrypt", "_encrypt", "_invalid")

    def __init__(
        self,
        encrypt: Callable[[bytes, bytes, bytes], bytes],
        decrypt: list[Callable[[bytes, bytes, bytes], bytes]],
        invalid: type[Exception],
    ) -> None:
        self._encrypt = encrypt
        self._decrypt = decrypt
        self._invalid = invalid

    def seal(self, payload: bytes, associated: bytes) -> bytes:
        """The payload encrypted, ``OVERHEAD`` bytes longer."""
        nonce = os.urandom(_NONCE)
        return nonce + self._encrypt(nonce, payload, associated)

    def open(self, sealed: bytes, associated: bytes) -> bytes | None:
        """The payload; None if no key opens it, or it is not what was sealed."""
        if len(sealed) < OVERHEAD:
            return None
        nonce, text = sealed[:_NONCE], sealed[_NONCE:]
        for decrypt in self._decrypt:
            try:
                return decrypt(nonce, text, associated)
            except self._invalid:
                continue
        return None
