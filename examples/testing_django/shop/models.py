"""Orders."""

from django.db import models


class Order(models.Model):
    """What somebody bought."""

    item = models.CharField(max_length=100)
    paid = models.BooleanField(default=False)

    def __str__(self) -> str:
        """Its number and what it is about."""
        return f"{self.pk}: {self.item}"
