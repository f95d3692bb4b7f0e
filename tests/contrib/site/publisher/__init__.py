"""An application of the user's own, with our label's obvious name."""
