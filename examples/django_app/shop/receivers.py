"""What is done about messages after the view has answered."""

import json

from django.dispatch import receiver

from publisher.contrib.django import delivered

from .models import Order


@receiver(delivered)
def note_message_id(event, **_):
    """Write the message's id beside the order; the ORM may be used here."""
    if event.service != "sns":
        return  # a step on its way to the queue
    order = json.loads(event.params["Message"])["order"]
    Order.objects.filter(pk=order).update(message_id=event.response["MessageId"])
