"""The options of a publisher, the arguments of its clients, and the settings of frameworks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Literal, Protocol, TypeAlias, TypedDict

    from boto3 import Session
    from botocore.client import BaseClient
    from botocore.config import Config
    from tenacity import Retrying
    from typing_extensions import Required

    from .._account.events import Event
    from .._spooling import Spool
    from ._common import ServiceName

    OnFull: TypeAlias = Literal["block", "drop", "drop_oldest", "raise"]
    Linger: TypeAlias = float | Mapping[ServiceName, float]

    class _OnAccepted(Protocol):
        def on_accepted(self, event: Event, /) -> object: ...

    class _OnSent(Protocol):
        def on_sent(self, event: Event, /) -> object: ...

    class _OnDelivered(Protocol):
        def on_delivered(self, event: Event, /) -> object: ...

    class _OnRetry(Protocol):
        def on_retry(self, event: Event, /) -> object: ...

    class _OnFailed(Protocol):
        def on_failed(self, event: Event, /) -> object: ...

    class _OnDropped(Protocol):
        def on_dropped(self, event: Event, /) -> object: ...

    class _OnSpooled(Protocol):
        def on_spooled(self, event: Event, /) -> object: ...

    #: An object with one or more of the methods of ``publisher.Hook``.
    AnyHook: TypeAlias = (
        _OnAccepted | _OnSent | _OnDelivered | _OnRetry | _OnFailed | _OnDropped | _OnSpooled
    )
    #: Settings take a class or its dotted path too.
    HookSetting: TypeAlias = AnyHook | type | str

    class SpoolArguments(TypedDict, total=False):
        """The arguments of ``publisher.Spool``, for a framework's settings."""

        directory: Required[str | os.PathLike[str]]
        send: Literal["here", "relay"]
        sync: Literal["kernel", "disk"]
        when: Literal["always", "overflow"]
        max_bytes: int
        max_age: float
        key: bytes | Sequence[bytes] | None
        on_unavailable: Literal["memory", "raise"]
        clients: Mapping[str, ClientArguments] | None

    #: Settings take the directory alone, or the arguments, too.
    SpoolSetting: TypeAlias = Spool | SpoolArguments | str | os.PathLike[str] | None

    class PublisherOptions(TypedDict, total=False):
        """The options of ``publisher.configure`` and ``publisher.Publisher``."""

        max_workers: int
        linger: Linger
        max_messages: int
        max_bytes: int
        on_full: OnFull
        max_block: float | None
        delivery_timeout: float
        retry: Retrying | None
        connect_timeout: float
        read_timeout: float
        close_timeout: float
        hooks: Iterable[AnyHook]
        spool: Spool | None

    class _OfBoto3(TypedDict, total=False):
        """What ``boto3.client`` takes beside the service and the region."""

        api_version: str | None
        use_ssl: bool | None
        verify: bool | str | None
        endpoint_url: str | None
        aws_access_key_id: str | None
        aws_secret_access_key: str | None
        aws_session_token: str | None
        aws_account_id: str | None
        config: Config | None

    class ClientArguments(_OfBoto3, total=False):
        """What ``publisher.client`` takes beside the service and the region."""

        session: Session | None
        client: BaseClient | None

    class BotoArguments(_OfBoto3, total=False):
        """What ``boto3.client`` takes: for a framework's settings."""

        region_name: str | None

    class HealthLimits(TypedDict, total=False):
        """From what share of messages lost of late on the health view says 503."""

        share: float | None
        minimum: int
        window: float

    class DjangoSettings(TypedDict, total=False):
        """One alias of Django's ``AWS_PUBLISHER``."""

        MAX_WORKERS: int
        LINGER: Linger
        MAX_MESSAGES: int
        MAX_BYTES: int
        ON_FULL: OnFull
        MAX_BLOCK: float | None
        DELIVERY_TIMEOUT: float
        RETRY: Retrying | None
        CONNECT_TIMEOUT: float
        READ_TIMEOUT: float
        CLOSE_TIMEOUT: float
        HOOKS: Sequence[HookSetting]
        SPOOL: SpoolSetting
        CLIENT: BotoArguments
        BACKEND: Literal["aws", "console", "local"]
        HEALTH: HealthLimits

    class FlaskSettings(TypedDict, total=False):
        """The names that ``FlaskPublisher`` reads from an application's configuration."""

        PUBLISHER_MAX_WORKERS: int
        PUBLISHER_LINGER: Linger
        PUBLISHER_MAX_MESSAGES: int
        PUBLISHER_MAX_BYTES: int
        PUBLISHER_ON_FULL: OnFull
        PUBLISHER_MAX_BLOCK: float | None
        PUBLISHER_DELIVERY_TIMEOUT: float
        PUBLISHER_RETRY: Retrying | None
        PUBLISHER_CONNECT_TIMEOUT: float
        PUBLISHER_READ_TIMEOUT: float
        PUBLISHER_CLOSE_TIMEOUT: float
        PUBLISHER_HOOKS: Sequence[HookSetting]
        PUBLISHER_SPOOL: SpoolSetting
        PUBLISHER_CLIENT: BotoArguments
        PUBLISHER_BACKEND: Literal["aws", "console", "local"]
        PUBLISHER_HEALTH: HealthLimits
