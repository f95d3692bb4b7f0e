"""What type checkers must reject: each line with a comment. Never run."""

from concurrent.futures import Future

import publisher
from publisher.types import BotoArguments, DjangoSettings, FlaskSettings, PutRecordResponse

TOPIC = "arn:aws:sns:us-east-1:123456789012:orders"
sns = publisher.client("sns")
kinesis = publisher.client("kinesis")

sns.publish(TopicArn=TOPIC)  # error: no Message
sns.publish(TopicArn=TOPIC, Message=b"bytes")  # error: no str
sns.publish(TopicArn=TOPIC, Message="a", Mesage="b")  # error: unknown argument
sns.publish(TOPIC, "a")  # error: positional
sns.publish(TopicArn=TOPIC, Message="a", MessageAttributes={"a": {"StringValue": "b"}})  # error
sns.publish(TopicArn=TOPIC, Message="a").result()["MesageId"]  # error: unknown key
sns.publish(TopicArn=TOPIC, Message="a")["MessageId"]  # error: a future, no response
sns.publish(TopicArn=TOPIC, Message="a").result(timeout="5")  # error: no number
sns.publish_batch(TopicArn=TOPIC, PublishBatchRequestEntries=[{"Message": "a"}])  # error: no Id
kinesis.put_record(StreamName="clicks", PartitionKey="1")  # error: no Data
kinesis.put_record(StreamName="clicks", Data=3, PartitionKey="1")  # error: no bytes
kinesis.put_records(StreamName="clicks", Records=[{"Data": b"a", "Key": "1"}])  # error: unknown key
kinesis.put_records(StreamName="clicks", Records=[]).result()["Failed"]  # error: SNS's key
shard: int = kinesis.put_record(Data=b"", PartitionKey="1").result()["ShardId"]  # error: a str
kinesis.with_options(delivery_timeout="2 s")  # error: no number
firehose = publisher.client("firehose")
firehose.put_record(DeliveryStreamName="clicks", Data=b"x")  # error: in a Record
firehose.put_record(DeliveryStreamName="clicks", Record={"Data": 3})  # error: no bytes
events = publisher.client("events")
events.put_events(Entries=[{"Sauce": "shop"}])  # error: unknown key
events.put_events(Entries=[{"Detail": {}}])  # error: JSON as text
events.put_events(Entries=[]).result()["Failed"]  # error: SNS's key
publisher.client("sqz")  # error: no such service
publisher.cleint("sns")  # error: no such name
publisher.types.SnsClient  # error: SNSClient  # noqa: B018
publisher.client("sns", endpoint="http://127.0.0.1:4566")  # error: endpoint_url
publisher.client("sns", verify=1.5)  # error: no bool or path
publisher.configure(max_worker=5)  # error: max_workers
publisher.configure(on_full="drop_newest")  # error: one of four
publisher.Publisher(linger="10 ms")  # error: no number
publisher.Publisher(linger={"sqz": 1.0})  # error: no such service
publisher.configure(hooks=[3])  # error: no hook
publisher.configure(hooks=[publisher.LoggingHook])  # error: the class
wrong: Future[PutRecordResponse] = sns.publish(TopicArn=TOPIC, Message="a")  # error: another one
publisher.Spool("/var/spool/shop", send="there")  # error: here or relay
publisher.configure(spool="/var/spool/shop")  # error: a Spool
spool: DjangoSettings = {"SPOOL": {"sync": "disk"}}  # error: no directory
settings: DjangoSettings = {"MAX_WORKER": 20}  # error: MAX_WORKERS
hooks: DjangoSettings = {"HOOKS": [3]}  # error: no hook
flask: FlaskSettings = {"PUBLISHER_LINGER": "10 ms"}  # error: no number
clients: BotoArguments = {"region": "eu-west-1"}  # error: region_name
sns.publish(TopicArn=TOPIC, Message="a").add_done_callback(lambda: None)  # error: takes the future
publisher.client("sns").put_record  # noqa: B018 - any other attribute is left to boto3


def by_name(name: str) -> object:
    return publisher.client(name)  # error: any text
