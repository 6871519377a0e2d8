"""The base class of every service."""

from evolve.services.base import BaseService as BaseService
