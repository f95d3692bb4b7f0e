"""pytest's fixtures for code that publishes; see ``publisher.testing``.

pytest imports this module in every session of an environment that has the package installed, so it
imports nothing but pytest until a fixture is used. It lies beside the package, not in it, because
to import a module of a package is to import the package.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from publisher.testing import Capture


@pytest.fixture
def published() -> Iterator[Capture]:
    """What the test publishes, kept in the process; see ``publisher.testing.capture``."""
    from publisher.testing import capture

    with capture() as captured:
        yield captured


@pytest.fixture
def published_in_moto() -> Iterator[Capture]:
    """The same inside moto's ``mock_aws``, which gets the messages; never a real endpoint.

    What the test still holds at its end goes into the mock. Create topics and streams first, with
    boto3.
    """
    from moto import mock_aws

    from publisher.testing import capture

    with mock_aws(), capture() as captured:
        yield captured
        captured.resolve()
