"""The way of a message. Nothing in here starts a thread."""
