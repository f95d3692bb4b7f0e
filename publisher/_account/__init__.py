"""What happened: the ledger, the losses and their causes, and the telling of hooks."""
