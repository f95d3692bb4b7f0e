"""Ten seconds of exceptions at random moments; the soak has more of it."""

from __future__ import annotations

import pytest

from tests.servers import Endpoint
from tests.storm import storm


@pytest.mark.heavy
@pytest.mark.filterwarnings(
    # An exception may strike where an object dies: Python reports it, for nobody could catch it.
    "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_exceptions_at_random_moments_leave_nothing_behind() -> None:
    with Endpoint(keep=False) as endpoint:
        wrong, strikes = storm(10, endpoint.url)
    assert not wrong
    assert strikes > 50
