"""Django: the settings ``AWS_PUBLISHER``, ``client``, ``publish_on_commit`` and signals.

::

    INSTALLED_APPS = [..., "publisher.contrib.django"]
    AWS_PUBLISHER = {"default": {"MAX_WORKERS": 20, "CLIENT": {"region_name": "eu-west-1"}}}

    from publisher.contrib.django import client, publish_on_commit

    client("sns").publish(TopicArn=ARN, Message="paid")
    publish_on_commit(client("sns").publish, TopicArn=ARN, Message="paid")
"""

from ._commit import CommitFuture, publish_on_commit
from ._publishers import client, publishers
from .signals import delivered, dropped, failed, spooled

__all__ = [
    "CommitFuture",
    "client",
    "delivered",
    "dropped",
    "failed",
    "publish_on_commit",
    "publishers",
    "spooled",
]
