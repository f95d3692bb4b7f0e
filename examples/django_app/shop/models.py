"""What the shop remembers."""

from django.db import models


class Order(models.Model):
    """An order, the id that SNS gave its message once it was delivered, and its steps so far."""

    item = models.CharField(max_length=100)
    message_id = models.CharField(max_length=100, blank=True)
    steps = models.PositiveIntegerField(default=0)
