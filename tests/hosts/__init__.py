"""The processes that a publisher lives in, started as their users start them."""
