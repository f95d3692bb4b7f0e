"""A hook named in the settings, with something beside the hook methods, as a tracer has."""

from typing import Any

from django.db import connection

from tests.contrib.site.models import Note


class Recorder:
    def __init__(self) -> None:
        self.prepared: list[str] = []
        #: For each delivered message: whether a connection was open before it used the ORM.
        self.open: list[bool] = []
        seen.append(self)

    def _publisher_prepare(self, service: Any, operation: str, params: Any) -> Any:
        self.prepared.append(operation)
        return params

    def on_delivered(self, event: Any) -> None:
        if str(event.params.get("Message", "")).startswith("note"):
            self.open.append(connection.connection is not None)
            Note.objects.create(text=event.params["Message"])


seen: list[Recorder] = []
