"""How does each service decide? Finance words in, values out; no server, no envelopes."""
