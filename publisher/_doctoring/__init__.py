"""What :mod:`publisher.doctor` looks at: the process, the publishers that live in it, and AWS."""
