"""What ``help()`` says of each service's two operations: data, a file for each service.

By operation: what it does; boto3's parameters, with type and words; and the response.
"""
