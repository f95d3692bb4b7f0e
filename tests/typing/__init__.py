"""Read by type checkers in `test_testing_types.py`."""
