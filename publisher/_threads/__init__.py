"""The only folder that starts threads, and what the host of a process does to them."""
