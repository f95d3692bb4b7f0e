"""The clients of the frameworks, typed as those of publisher.client. Never run."""

from publisher.contrib.django import client, publish_on_commit
from publisher.contrib.flask import FlaskPublisher

TOPIC = "arn:aws:sns:us-east-1:123456789012:orders"

sns = client("sns", using="other")
number: str = sns.publish(TopicArn=TOPIC, Message="paid").result()["MessageId"]
later: str = publish_on_commit(sns.publish, TopicArn=TOPIC, Message="paid").result()["MessageId"]
kinesis = FlaskPublisher().client("kinesis", "eu-west-1")
shard: str = kinesis.put_record(StreamName="clicks", Data=b"a").result()["ShardId"]
publish_on_commit(sns.publish, using="other", TopicArn=TOPIC, Message="paid")

client("sqz")  # error: no such service
client("sns", usin="other")  # error: using
FlaskPublisher().client("kinesis", region="eu-west-1")  # error: region_name
publish_on_commit(sns.publish, TopicArn=TOPIC, Mesage="paid")  # error: no Message
publish_on_commit(print, "paid")  # error: no operation
