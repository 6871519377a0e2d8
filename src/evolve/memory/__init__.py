"""What does Evolve remember? Decisions, models, evaluations, answers and trials, on disk. Importing this package is free:
SQLAlchemy and numpy load with the module that needs them."""
