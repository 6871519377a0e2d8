"""What is wrong with this home, and how is each of it mended? `evolve doctor` asks everything that has ever gone wrong."""
