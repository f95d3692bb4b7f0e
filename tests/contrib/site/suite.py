"""What the test cases share."""

import boto3

boto3.setup_default_session()  # reading the services' models takes longer than most tests
