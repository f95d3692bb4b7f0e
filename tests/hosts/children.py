"""What the children of multiprocessing run: importable, as spawned ones need it to be."""

from __future__ import annotations

from tests.hosts import app


def publish_and_return(name: str) -> None:
    """Nothing is waited for: the exit of the child has to deliver it."""
    app.publish(name, 15)
