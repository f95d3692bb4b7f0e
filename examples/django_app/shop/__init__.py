"""A shop that tells the world about its orders."""
