"""With types-boto3 installed every other operation is typed too. Never run."""

from botocore.config import Config

import publisher

sns = publisher.client("sns")
kinesis = publisher.client("kinesis", config=Config(tcp_keepalive=True))

topic: str = sns.create_topic(Name="orders").result()["TopicArn"]
sns.create_topic(Nam="orders")  # error: unknown argument
shards: int = sns.list_topics().result()["Topics"]  # error: a list
kinesis.describe_stream(StreamName="clicks").result()["StreamDescription"]["StreamName"].upper()
kinesis.describe_stream(StreamName=3)  # error: no str

sqs = publisher.client("sqs")
url: str = sqs.get_queue_url(QueueName="jobs").result()["QueueUrl"]
sqs.get_queue_url(QueuName="jobs")  # error: unknown argument
