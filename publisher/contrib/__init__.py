"""How publisher lives in frameworks; each module is imported only by those who use it."""
