"""For users' tests."""
from ._capture import Capture, capture
from ._moto import MockEnded, MockGuard
