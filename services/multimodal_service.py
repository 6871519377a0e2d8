"""The multimodal service's class."""

from evolve.services.multimodal import MultimodalService as MultimodalService
