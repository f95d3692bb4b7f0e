"""The application."""

from django.apps import AppConfig


class ShopConfig(AppConfig):
    """Connects the receivers of signals."""

    name = "shop"

    def ready(self) -> None:
        """Import them."""
        from . import receivers  # noqa: F401
