"""The publishers that ``AWS_PUBLISHER`` describes, by alias."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

import publisher

from ..._client import Client
from ..._publisher import Publisher
from ...types._clients import makes_clients_of_several
from .._settings import UNKNOWN, VALUE, Backends, Problem, Settings
from ._hooks import ConnectionsHook, SignalsHook

SETTING = "AWS_PUBLISHER"
DEFAULT = "default"


class Publishers(Mapping[str, Publisher]):
    """A publisher for each alias, made at its first use; ``default`` is the process-wide one.

    So ``publishers["default"].stats()`` and ``publisher.stats()`` are the same.
    """

    def __init__(self) -> None:
        self._made: dict[str, Publisher] = {}
        self._read: dict[str, Settings] | None = None
        self._backends = Backends()

    def settings(self) -> dict[str, Settings]:
        """What ``AWS_PUBLISHER`` says, with its problems, by alias; ``default`` is always there."""
        if self._read is None:
            found = {}
            given = getattr(settings, SETTING, {})
            if not isinstance(given, Mapping):
                given = {}
            for alias, values in {DEFAULT: {}, **given}.items():
                read = values if isinstance(values, Mapping) else {}
                found[alias] = Settings(read, f"{SETTING}[{alias!r}] ")
            self._read = found
        return self._read

    def problems(self) -> list[Problem]:
        """Everything that is wrong with ``AWS_PUBLISHER``."""
        given = getattr(settings, SETTING, {})
        example = '{"default": {"MAX_WORKERS": 10}}'
        if not isinstance(given, Mapping):
            text = f"{SETTING} must be a dict of aliases, not {type(given).__name__}."
            return [Problem(VALUE, text, f"For example {example}.")]
        found = []
        for alias, values in given.items():
            if not isinstance(values, Mapping):
                flat = str(alias).upper() == alias  # an option where an alias belongs
                found.append(
                    Problem(
                        UNKNOWN if flat else VALUE,
                        f"{SETTING}[{alias!r}] must be a dict of options,"
                        f" not {type(values).__name__}.",
                        f"Options belong to an alias: {example}.",
                    )
                )
        for read in self.settings().values():
            found += read.problems
        if given and DEFAULT not in given and not found:
            aliases = ", ".join(repr(str(alias)) for alias in given)
            text = (
                f"{SETTING} has no alias {DEFAULT!r}, only {aliases}: publisher.client() uses it."
            )
            found.append(Problem(VALUE, text, f"For example {example}, beside the others."))
        return found

    def refusals(self) -> list[Problem]:
        """What ``client()`` would refuse, as boto3 does; each once."""
        found = [each for read in self.settings().values() for each in read.refusals()]
        return list(dict.fromkeys(found))

    def configure(self) -> None:
        """Hand the options of ``default`` to the process-wide publisher; starts nothing.

        Raises:
            RuntimeError: it has accepted a message already.
        """
        publisher.configure(**self._options(DEFAULT))
        self._backends.apply(publisher._default, self.settings()[DEFAULT].backend)

    def reset(self) -> None:
        """Forget the settings and the publishers made from them, as after ``override_settings``.

        They deliver what they have accepted, within ``close_timeout``.
        """
        self._read = None
        self._backends.reset()
        made, self._made = self._made, {}
        for each in made.values():
            each.close(each._options.close_timeout)
        if publisher._default._started:
            publisher.close(publisher._default._options.close_timeout)
        self.configure()

    def _options(self, alias: str) -> dict[str, Any]:
        options = dict(self.settings()[alias].options)
        hooks = [ConnectionsHook(hook) for hook in options.get("hooks", ())]
        return {**options, "hooks": (*hooks, SignalsHook(alias))}

    def __getitem__(self, alias: str) -> Publisher:
        """Return the publisher of an alias.

        Raises:
            ImproperlyConfigured: there is no such alias, or its settings are wrong.
        """
        read = self.settings().get(alias)
        if read is None:
            known = ", ".join(map(repr, self))
            raise ImproperlyConfigured(
                f"{SETTING} has no alias {alias!r}; the aliases are {known}."
            )
        if read.errors:
            raise ImproperlyConfigured(" ".join(f"{each.text} {each.hint}" for each in read.errors))
        if alias == DEFAULT:
            return publisher._default
        found = self._made.get(alias)
        if found is None:  # two threads at once: one of the two is used
            made = Publisher(**self._options(alias))
            self._backends.apply(made, read.backend)
            found = self._made.setdefault(alias, made)
        return found

    def __contains__(self, alias: object) -> bool:
        return alias in self.settings()

    def __iter__(self) -> Iterator[str]:
        return iter(self.settings())

    def __len__(self) -> int:
        return len(self.settings())


publishers = Publishers()


@makes_clients_of_several
def client(
    service_name: Any, region_name: str | None = None, *, using: str = DEFAULT, **kwargs: Any
) -> Client:
    """A client of the publisher ``using``; the same object for equal arguments, cheaply.

    Args:
        service_name: as in :func:`publisher.client`.
        region_name: as in :func:`publisher.client`.
        using: an alias in ``AWS_PUBLISHER``.
        **kwargs: as in :func:`publisher.client`; they win over the alias's ``CLIENT``.

    Raises:
        ImproperlyConfigured: there is no such alias, or its settings are wrong.
    """
    found = publishers[using]
    if region_name is not None:
        kwargs["region_name"] = region_name
    if "client" not in kwargs:  # a ready client is used as it is
        kwargs = {**publishers.settings()[using].client, **kwargs}
    made: Client = found.client(service_name, **kwargs)
    return made
