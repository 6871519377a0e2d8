"""Which hyperparameters forecast best inside the training part? Spaces, samplers, the objective, and what is noise."""
