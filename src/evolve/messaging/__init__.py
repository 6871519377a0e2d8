"""How does one process ask another? Knows nothing of trading."""
