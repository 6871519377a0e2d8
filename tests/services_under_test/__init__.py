"""Services that exist only for tests."""
