"""The benchmarks: this package beside its peers, on the same work, in the same run."""
