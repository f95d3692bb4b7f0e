"""The direct way, beside botocore's own."""
