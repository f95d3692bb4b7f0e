"""The room ``_store``: records, segments, locks, and what is read back."""
