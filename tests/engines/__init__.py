"""Tests of the adapters for data engines: real Spark and real Ray, in an environment of their own.

`make test-engines` runs them; no other run collects this folder.
"""
