"""The boto3 client behind ours, and how a request reaches it."""
