"""Paying for an order, which the world hears about when the transaction is committed."""

import json
from concurrent.futures import TimeoutError as NotYet

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_POST

import publisher

from .models import Order

sns = publisher.client("sns", region_name="us-east-1")
kinesis = publisher.client("kinesis", region_name="us-east-1")


@require_POST
def pay(request: HttpRequest, number: int) -> HttpResponse:
    """Pay; the answer does not wait for the announcement."""
    order = get_object_or_404(Order, pk=number)
    with transaction.atomic():
        order.paid = True
        order.save()
        transaction.on_commit(lambda: announce(order))
    return JsonResponse({"order": number}, status=202)


def announce(order: Order) -> None:
    """Tell whoever subscribed, and leave a trace."""
    sns.publish(
        TopicArn=settings.ORDERS_TOPIC,
        Message=json.dumps({"order": order.pk, "item": order.item}),
        MessageAttributes={"event": {"DataType": "String", "StringValue": "paid"}},
    )
    kinesis.put_record(
        StreamName=settings.AUDIT_STREAM,
        Data=f"paid {order.pk}".encode(),
        PartitionKey=str(order.pk),
    )


@require_POST
def receipt(request: HttpRequest, number: int) -> HttpResponse:
    """Send a receipt, and answer only when that is confirmed."""
    future = sns.publish(TopicArn=settings.ORDERS_TOPIC, Message=f"receipt {number}")
    try:
        return JsonResponse({"message": future.result(timeout=2)["MessageId"]})
    except NotYet:
        return JsonResponse({"message": None}, status=202)
    except sns.exceptions.NotFoundException:
        return JsonResponse({"message": None}, status=503)
