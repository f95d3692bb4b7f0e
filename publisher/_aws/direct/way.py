"""A batch on the direct way: taken where nobody would notice but by its cost, and counted.

botocore's own way is the pattern: the first request to each destination goes there, and what
botocore made of it (address, headers, signature) is made again here and compared, to the byte. Only
where the two are the same do later requests go directly.

What is not known here goes botocore's way before anything was sent, or its answer is read by
botocore's parser; no request is sent twice.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import botocore.auth

from ..._engine.contract import Service
from .deciding import Refusal, Way
from .reading import Call, Reader
from .request import NotKnownError, Template, is_plain
from .sending import Transport
from .signing import Keys

logger = logging.getLogger("publisher")

DIRECT = "direct"
_FIRST = Refusal("the first request to a destination shows what botocore makes of it")
_NO_CREDENTIALS = Refusal("there are no credentials")
_UNUSUAL = Refusal("the credentials have characters that no header may have")
#: Destinations whose requests are known at once; beyond, all are learnt anew.
_MAX_KNOWN = 4096
#: So often a destination's request is compared before it is left to botocore for good: credentials
#: may change between the request and the comparison.
_LESSONS = 3


class Direct:
    """The direct way of one boto3 client.

    Args:
        client: one that this package made.
        service: what its batches are.
        operation: their operation's name in the API.
        guards: asked with the address before anything is sent; they raise where a test forbids it.

    Raises:
        AttributeError: there is no such way with this botocore.
    """

    def __init__(
        self,
        client: Any,
        service: Service,
        operation: str,
        guards: Sequence[Callable[[str], None]] = (),
    ) -> None:
        assert service.fast is not None
        self._client = client
        self._fast = service.fast
        self._method = service.batch
        self._way = Way(client, operation, service.batch)
        self._reader = Reader(client, operation, service.fast)
        self._guards = guards
        Transport(self._way.session, "")  # what it needs is there
        self._lock = threading.RLock()  # guards all that stands below
        self._templates: dict[Any, Template] = {}
        self._kinds: dict[tuple[Any, ...], Template] = {}
        self._transports: dict[str, Transport] = {}
        self._unlike: dict[Any, tuple[int, Refusal]] = {}
        self._count: Counter[str] = Counter()
        self._said = ""

    @property
    def count(self) -> dict[str, int]:
        """Requests by their way: ``direct``, or why they went botocore's."""
        with self._lock:
            return dict(self._count)

    def send(self, address: Any, entries: Sequence[Any], call: Call) -> Any:
        """The response to a batch, or None where it has to go botocore's way: nothing was sent.

        Args:
            address: of the destination.
            entries: of the batch.
            call: makes boto3's call of it, with an answer that is there already.

        Raises:
            Exception: what boto3 would raise.
        """
        made = self._made(address, entries)
        if isinstance(made, Refusal):
            self._note(made)
            return None
        request, transport = made
        self._note(None)
        return self._reader.read(request, transport.send(request), call)

    def _made(self, address: Any, entries: Sequence[Any]) -> Any:
        """The request, and what sends it; a Refusal where it has to go botocore's way."""
        refusal = self._way.refusal()
        if refusal is not None:
            return refusal
        template = self._templates.get(address)
        if template is None:
            unlike = self._unlike.get(address)
            return _FIRST if unlike is None or unlike[0] < _LESSONS else unlike[1]
        for guard in self._guards:
            guard(template.url)
        keys = self._keys()
        if isinstance(keys, Refusal):
            return keys
        if bool(keys.token) is not template.has_token:
            with self._lock:
                self._templates.pop(address, None)
            return _FIRST
        _, body = self._fast.encode(address, entries)
        return template.made(keys, _now(), body), self._transports[template.url]

    def learn(self, address: Any, request: Any) -> None:
        """Compare a request that botocore has signed with the one that would be made here."""
        known = self._templates.get(address)
        if known is not None or self._unlike.get(address, (0,))[0] >= _LESSONS:
            return
        try:
            keys = self._keys()
            if isinstance(keys, Refusal):
                raise NotKnownError(keys.reason)
            template = Template(request.prepare(), keys)
        except NotKnownError as error:
            self._is_unlike(address, f"botocore's request is not known here: {error}")
        except Exception as error:  # noqa: BLE001 - another botocore; its own way is open
            self._is_unlike(
                address, f"botocore's request is not known here: {type(error).__name__}"
            )
        else:
            with self._lock:
                if len(self._templates) >= _MAX_KNOWN:
                    self._templates.clear()
                    self._kinds.clear()
                # First of all: who finds a template looks for its transport, without the lock.
                if template.url not in self._transports:
                    self._transports[template.url] = Transport(self._way.session, template.url)
                # Most destinations of a client have the same.
                self._templates[address] = self._kinds.setdefault(template.kind, template)

    def _keys(self) -> Keys | Refusal:
        """The credentials of this moment; they may be fetched for it, as botocore would.

        Raises:
            Exception: what botocore would raise.
        """
        credentials = self._way.signer._credentials
        if credentials is None:
            return _NO_CREDENTIALS
        frozen = credentials.get_frozen_credentials()
        keys = Keys(frozen.access_key, frozen.secret_key, frozen.token)
        if not keys.access_key or not keys.secret_key:
            return _NO_CREDENTIALS
        if not is_plain(keys.access_key) or not is_plain(keys.token or ""):
            return _UNUSUAL
        return keys

    def _is_unlike(self, address: Any, reason: str) -> None:
        with self._lock:
            if len(self._unlike) >= _MAX_KNOWN:
                self._unlike.clear()
            self._unlike[address] = (self._unlike.get(address, (0,))[0] + 1, Refusal(reason))

    def _note(self, refusal: Refusal | None) -> None:
        """Count it, and say it where it is another way than the last."""
        way = DIRECT if refusal is None else refusal.reason
        with self._lock:
            self._count[way] += 1
            said, self._said = self._said, self._said if refusal is _FIRST else way
            new = said != self._said
        if new and logger.isEnabledFor(logging.DEBUG):
            text = (
                "requests go the direct way"
                if refusal is None
                else f"requests go botocore's way: {way}"
            )
            logger.debug("%s client: %s", self._client.meta.service_model.service_name, text)


def _now() -> str:
    """The time of a signature, from the clock that botocore signs by."""
    now = getattr(botocore.auth, "get_current_datetime", None)
    auth: Any = botocore.auth
    moment = auth.datetime.datetime.utcnow() if now is None else now()
    return str(moment.strftime(auth.SIGV4_TIMESTAMP))
