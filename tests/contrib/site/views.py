import asyncio
import os

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from publisher.contrib.django import client
from tests.support import TOPIC


@csrf_exempt
def send(request: HttpRequest) -> JsonResponse:
    """Publishes three messages, too few for a request of their own, and answers at once."""
    name = request.POST["name"]
    for i in range(3):
        client("sns").publish(TopicArn=TOPIC, Message=f"{name}-{i}")
    return JsonResponse({"pid": os.getpid()})


@csrf_exempt
async def asend(request: HttpRequest) -> JsonResponse:
    """Publishes and waits, as an async view does."""
    future = client("sns", endpoint_url=request.POST["endpoint"]).publish(
        TopicArn=TOPIC, Message=request.POST["name"]
    )
    response = await asyncio.wrap_future(future)
    return JsonResponse({"id": response["MessageId"]})
