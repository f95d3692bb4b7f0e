"""The direct way: a batch from its entries to the socket and back without botocore's machinery."""
