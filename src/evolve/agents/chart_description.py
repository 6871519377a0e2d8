"""What does a vision model add to what was measured in a picture? Its words beside our figures, or the reason why there are none.

Asked only where the user names a model: the picture then leaves this machine for the server that OPENAI_BASE_URL or OPENAI_API_KEY names.
"""

from __future__ import annotations

import io
from dataclasses import replace

from evolve.cards import ImageAnalysis
from evolve.charts.image_file import Picture
from evolve.clock import SYSTEM_CLOCK, Clock
from evolve.errors import EvolveError, InvalidRequest
from evolve.settings import Settings

AS_CONFIGURED = "auto"
LONGEST_SIDE = 1_024  # pixels that are sent: labels stay legible, and no server counts more than four tiles for it


class ChartDescriber:
    def __init__(self, settings: Settings, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._settings = settings
        self._clock = clock

    def check(self, model_name: str) -> None:
        """Raises InvalidRequest, before anything is read, where no vision model can be asked."""
        if not (self._settings.openai_api_key or self._settings.openai_base_url):
            raise InvalidRequest(
                f"no vision model is configured that {model_name[:80]!r} could name: set OPENAI_API_KEY or OPENAI_BASE_URL, or leave "
                "model_name null; what is measured needs none"
            )

    def described(self, found: ImageAnalysis, picture: Picture, model_name: str) -> ImageAnalysis:
        """The analysis with the model's description, or as it is with the reason."""
        self.check(model_name)
        # Imported where it is needed: without a model, nobody waits for what one needs.
        from evolve.language.model.chart_description import describe_chart
        from evolve.language.model.configured import consultant_for

        settings = self._settings
        if model_name != AS_CONFIGURED:
            settings = settings.model_copy(update={"llm_model": model_name})
        figures = [figure for curve in found.curves for figure in curve.figures if figure.value is not None]
        try:
            said = describe_chart(consultant_for(settings, clock=self._clock), _sent(picture), figures)
        except EvolveError as error:
            return replace(found, undescribed=(f"no vision model's description: {error.message}",))
        why = f"{len(said.left_out)} sentences of {said.by} are left out: {said.left_out[0]}" if said.left_out else ""
        return replace(found, description=said.sentences, described_by=said.by, undescribed=(why,) if why else ())


def _sent(picture: Picture) -> bytes:
    """The pixels alone, made anew: nothing else that the file may hold leaves this machine."""
    from PIL import Image

    image = Image.fromarray(picture.pixels)
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=False)
    return buffer.getvalue()
