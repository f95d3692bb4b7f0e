"""kinesis-python 0.2.1 (2018) does not run on the Python versions of this comparison.

Its sender uses `collections.Mapping` (gone since Python 3.10) and `time.clock` (gone since 3.8). It
also installs as `kinesis`, over the files of async-kinesis, so the two cannot be installed
together.
"""

from __future__ import annotations

from benchmarks.peers import Peer

PEERS: list[Peer] = []
