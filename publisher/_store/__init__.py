"""Messages on disk, in segments that are only appended to and given back by unlinking them.

This room knows files and nothing of services, threads or publishers. ``record`` is the format,
``directory`` the place and its locks, ``log`` writes what its process accepts, ``source`` reads
what other processes left, ``reading`` is what both read with, and ``crypt`` encrypts.
"""
