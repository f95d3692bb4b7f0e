"""Orders come in; each is told to the topic once it is committed."""

import asyncio
import json

from django.conf import settings
from django.db import transaction
from django.http import JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.csrf import csrf_exempt

from publisher.contrib.django import client, publish_on_commit

from .models import Order


class OutOfStockError(Exception):
    """There is none left."""


@csrf_exempt
def create(request):
    """POST item=...: save the order, and publish it when that is committed."""
    item = request.POST["item"]
    try:
        with transaction.atomic():
            order = Order.objects.create(item=item)
            publish_on_commit(
                client("sns").publish,
                TopicArn=settings.ORDERS_TOPIC,
                Message=json.dumps({"order": order.pk, "item": item}),
            )
            if item == "unicorn":
                raise OutOfStockError
    except OutOfStockError:
        return JsonResponse({"error": "out of stock"}, status=409)  # and nothing is sent
    return JsonResponse({"order": order.pk}, status=201)


@csrf_exempt
async def confirm(request):
    """POST item=...: an async view that answers when the message is stored."""
    order = await Order.objects.acreate(item=request.POST["item"])
    future = client("sns").publish(
        TopicArn=settings.ORDERS_TOPIC,
        Message=json.dumps({"order": order.pk, "item": order.item}),
    )
    response = await asyncio.wrap_future(future)
    return JsonResponse({"order": order.pk, "message": response["MessageId"]}, status=201)


@csrf_exempt
def advance(request, pk):
    """POST step=...: the next step of an order, for the workers behind the FIFO queue.

    Of one order they receive the steps as this process sent them, one after the other, whatever
    had to be tried again; orders do not wait for each other.
    """
    step = request.POST["step"]
    with transaction.atomic():
        order = get_object_or_404(Order.objects.select_for_update(), pk=pk)
        order.steps += 1
        order.save(update_fields=["steps"])
        publish_on_commit(
            client("sqs").send_message,
            QueueUrl=settings.STEPS_QUEUE,
            MessageBody=json.dumps({"order": order.pk, "step": step}),
            MessageGroupId=f"order-{order.pk}",
            MessageDeduplicationId=f"order-{order.pk}-{order.steps}",
        )
    return JsonResponse({"order": order.pk, "steps": order.steps}, status=202)


def show(request, pk):
    """One order."""
    order = get_object_or_404(Order, pk=pk)
    return JsonResponse({"item": order.item, "message": order.message_id})
