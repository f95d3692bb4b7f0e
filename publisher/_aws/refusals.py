"""What ``boto3.client`` refuses without the network, told before a boto3 client is made.

Making one takes long, and so happens on a worker at the first message: too late for whoever wrote
the wrong argument. Here the same is asked of the same session, in boto3's order and with its own
exceptions. A session reads its configuration file once; that aside nothing is opened or started.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import botocore.config
import botocore.configprovider
from botocore.exceptions import (
    BotoCoreError,
    DataNotFoundError,
    NoRegionError,
    PartialCredentialsError,
)
from botocore.utils import (
    is_valid_endpoint_url,
    is_valid_ipv6_endpoint_url,
    validate_region_name,
)

from .._text import printable
from . import sessions as _sessions

#: What all that is raised here is one of.
KINDS = (BotoCoreError, ValueError, TypeError, AttributeError)
_PAIR = ("aws_access_key_id", "aws_secret_access_key")
#: What boto3 takes from a profile before it looks for a key pair in it.
_BEFORE_FILES = {"role_arn", "web_identity_token_file", "sso_session", "sso_start_url"}


def check(
    service: str, session: Any, kwargs: Mapping[str, Any], *, needs_region: bool = True
) -> str | None:
    """Raise what ``boto3.client`` would raise for these arguments; return the client's region.

    Args:
        service: boto3's name of it, such as ``"sns"``.
        session: a ``boto3.Session``, or None for the one that all share. Something else that makes
            clients has rules of its own: of that only the region is looked at.
        kwargs: of ``boto3.client``.
        needs_region: False where nothing is sent to AWS: then None is returned if there is none.

    Raises:
        Exception: boto3's own class: ``NoRegionError``, ``InvalidRegionError``, ``ValueError`` for
            an endpoint, ``TypeError``, ``AttributeError`` for what is no ``Config``,
            ``PartialCredentialsError``, ``DataNotFoundError`` for an API version ...
    """
    with _sessions.reading():
        inner = _sessions.inner(session)
        if inner is None:
            return _region_of_stranger(session, kwargs)
        config = _config(inner, kwargs.get("config"))
        region = _region(inner, kwargs.get("region_name"), config)
        _check_credentials(inner, kwargs, config)
        _check_version(inner, service, kwargs.get("api_version"))
        _check_retries(inner, config)
        if region is None and needs_region:
            raise NoRegionError
        _check_endpoint(_endpoint(inner, service, kwargs, config, region))
        _check_timeouts(config)
        return region


def _config(inner: Any, given: Any) -> Any:
    if given is not None and not isinstance(given, botocore.config.Config):
        raise AttributeError(
            f"config must be a botocore.config.Config, not {type(given).__name__}:"
            " Config(connect_timeout=...)"
        )
    default = inner.get_default_client_config()
    return default if given is None else given if default is None else default.merge(given)


def _region(inner: Any, given: Any, config: Any) -> str | None:
    if given is None:
        given = getattr(config, "region_name", None)
    if given is None:
        given = inner.get_config_variable("region")
    if given is None:
        return None
    if not isinstance(given, str):
        raise TypeError(f"region_name must be str, not {type(given).__name__}")
    validate_region_name(given)
    return given


def _region_of_stranger(session: Any, kwargs: Mapping[str, Any]) -> str | None:
    config = getattr(kwargs.get("config"), "region_name", None)
    found = kwargs.get("region_name") or config or getattr(session, "region_name", None)
    return found if isinstance(found, str) else None


def _check_credentials(inner: Any, kwargs: Mapping[str, Any], config: Any) -> None:
    if getattr(config, "signature_version", None) is botocore.UNSIGNED:
        return
    given = [name for name in _PAIR if kwargs.get(name) is not None]
    if len(given) == 1:
        (missing,) = set(_PAIR) - set(given)
        raise PartialCredentialsError(provider="explicit", cred_var=missing)
    if given or getattr(inner, "_credentials", None) is not None:
        return
    chosen = inner.instance_variables().get("profile")
    if chosen is None and os.environ.get("AWS_ACCESS_KEY_ID"):
        from botocore.credentials import EnvProvider

        EnvProvider().load()  # looks at the environment, and nowhere else
    else:
        _check_files(inner)


def _check_files(inner: Any) -> None:
    """Half a key pair in the profile, where boto3 would come to look for it there."""
    scoped = inner.get_scoped_config()
    access, secret = _PAIR
    if access not in scoped or secret in scoped or _BEFORE_FILES & scoped.keys():
        return
    if os.environ.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        return
    from botocore.credentials import ConfigProvider, SharedCredentialProvider

    profile = inner.get_config_variable("profile") or "default"
    for provider, file in (
        (SharedCredentialProvider, "credentials_file"),
        (ConfigProvider, "config_file"),
    ):
        provider(inner.get_config_variable(file), profile).load()


def _check_version(inner: Any, service: str, version: Any) -> None:
    if version is None:
        version = (inner.get_config_variable("api_versions") or {}).get(service)
    if version is None:
        return
    if not isinstance(version, str):
        raise TypeError(f"api_version must be str, not {type(version).__name__}")
    if version not in inner.get_component("data_loader").list_api_versions(service, "service-2"):
        raise DataNotFoundError(data_path=str(Path(service, version, "service-2")))


def _check_retries(inner: Any, config: Any) -> None:
    """Of the environment and the configuration file; those of a ``Config`` are checked by it."""
    given = getattr(config, "retries", None) or {}
    if "mode" not in given and (mode := inner.get_config_variable("retry_mode")) is not None:
        botocore.config.Config(retries={"mode": mode})
    if not {"max_attempts", "total_max_attempts"} & set(given):
        inner.get_config_variable("max_attempts")  # raises for what is no number


def _endpoint(
    inner: Any, service: str, kwargs: Mapping[str, Any], config: Any, region: str | None
) -> Any:
    """The address as far as boto3 looks at it: of AWS's own only the region may be wrong."""
    given = kwargs.get("endpoint_url")
    if given is None:
        given = _configured_endpoint(inner, service, config)
    if given is None:
        # In a capture there may be no region.
        given = f"https://{service}.{'no-region' if region is None else region}.amazonaws.com"
    return given


def _configured_endpoint(inner: Any, service: str, config: Any) -> Any:
    provider = getattr(botocore.configprovider, "ConfiguredEndpointProvider", None)
    if provider is None:  # an older botocore reads none
        return None
    ignored = getattr(config, "ignore_configured_endpoint_urls", None)
    if ignored is None:
        ignored = inner.get_config_variable("ignore_configured_endpoint_urls")
    if ignored:
        return None
    return provider(inner.full_config, inner.get_scoped_config(), service).provide()


def _check_endpoint(url: Any) -> None:
    if not isinstance(url, str):
        raise TypeError(f"endpoint_url must be str, not {type(url).__name__}")
    try:
        valid = is_valid_endpoint_url(url) or is_valid_ipv6_endpoint_url(url)
    except ValueError:  # whose text may quote a password
        valid = False
    if not valid:
        raise ValueError(f"Invalid endpoint: {printable(url)}")


def _check_timeouts(config: Any) -> None:
    given = getattr(config, "_user_provided_options", {})
    timeouts = {
        name: given[f"{name}_timeout"] for name in ("connect", "read") if f"{name}_timeout" in given
    }
    if timeouts:
        from urllib3 import Timeout

        Timeout(**timeouts)
