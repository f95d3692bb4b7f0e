"""The demo behind `make demo`: the same lines sent the plain boto3 way and through `publisher`.

It needs no AWS account: SNS, SQS and Kinesis are moto's, in a process of their own on 127.0.0.1.
"""
