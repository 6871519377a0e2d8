"""The updater service's class."""

from evolve.services.updater import UpdaterService as UpdaterService
