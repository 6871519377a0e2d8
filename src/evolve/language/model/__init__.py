"""May a language model help? Optional: everything here has an offline answer beside it, which is given whenever this one fails."""
