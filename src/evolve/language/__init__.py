"""What did the user ask? Understood offline: intents, symbols, time and models from text, without a download."""
