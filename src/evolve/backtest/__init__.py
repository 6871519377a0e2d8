"""What a position would have earned after costs, and whether that is more than luck."""
