"""The library of strategies: programs for the bar loop, read as text and filled in. docs/sandbox.md says what `main` gets."""
