"""The messages of each service, one file per service. Who asks another service imports only these."""
