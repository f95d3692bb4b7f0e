"""What outlives a process: the spool's keeper, what offers again what stayed, and the relay."""
