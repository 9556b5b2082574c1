"""Say in advance how long a run will take, by the time that its first sentences took."""

import logging
import math
import time
from typing import TYPE_CHECKING, Any

from torch import Tensor

from tercet._distributed import is_first_process
from tercet._durations import SHORTEST_FORECAST, in_words
from tercet.decisions.spaces import dimensions
from tercet.encoder.devices import has_bfloat16
from tercet.runs.time_limit import EMBEDDING_PER_STEP

if TYPE_CHECKING:
    from tercet.runs.run_stages import PlannedRun

logger = logging.getLogger(__name__)


class ForecastingEncoder:
    """An encoder that logs how long the run will take after its first call, in the first process.

    The time to fit the classifier is measured when the object is made, because the seconds of a call to `encode` count
    as those of embedding its sentences.

    Args:
        encoder: the encoder. All attributes and methods except `encode` are those of the encoder.
        run: the run, before its first stage.
    """

    def __init__(self, encoder: Any, run: "PlannedRun") -> None:
        self._encoder, self._run = encoder, run
        self._limit = run.settings.time_limit or math.inf
        self._forecasts = is_first_process() and self._limit >= SHORTEST_FORECAST
        self._seconds_to_fit = _seconds_to_fit(run) if self._forecasts else 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def encode(self, sentences: list[str], **options: Any) -> Tensor:
        """Return the embeddings `(num_sentences, dim)`."""
        start = time.monotonic()
        embeddings: Tensor = self._encoder.encode(sentences, **options)
        if self._forecasts:
            self._forecasts = False
            rest = remaining_seconds(self._run, (time.monotonic() - start) / len(sentences)) + self._seconds_to_fit
            seconds = min(start - self._run.clock + rest, self._limit)
            if seconds >= SHORTEST_FORECAST:
                # The limit holds for the whole run, with this choice.
                more = " and the choice of the head" if self._run.stages.head and seconds < self._limit else ""
                less = "" if self._run.best is None else ", or less if the encoder stops improving"
                logger.info(f"the whole run takes about {in_words(seconds)}{more}{less}")
                self._suggest_bfloat16()
        return embeddings

    def _suggest_bfloat16(self) -> None:
        run = self._run
        trains_in_float32 = run.stages.encoder and not run.skip_encoder and not run.settings.bf16
        if trains_in_float32 and has_bfloat16(run.trainer.args.device):
            logger.info(
                "this device computes in bfloat16: with bf16=True, the training of the encoder usually takes less time"
            )


def remaining_seconds(run: "PlannedRun", seconds_per_text: float) -> float:
    """Return the expected seconds of a run that is not resumed, from its first sentence.

    The time to fit the classifier is not included. Neither are the choice of the head, which says itself how long
    it takes, and the computation of the metrics, which takes seconds.

    Args:
        run: the run, before its first stage.
        seconds_per_text: the seconds to embed a text.
    """
    settings, evaluation, classifier = run.settings, run.evaluation, run.classifier
    evaluated = 0 if evaluation is None else evaluation.num_texts
    texts: float = evaluated
    if run.stages.head and (evaluation is None or evaluation.reference is None):
        texts += len(run.data.train)
    if run.stages.encoder and not run.skip_encoder:
        assert settings.epochs is not None
        rows = len(run.stages.kept(len(run.data.train)))
        trained = settings.max_steps * settings.batch_size if settings.max_steps > 0 else settings.epochs * rows
        texts += trained * (3 if settings.uses_triplets else 1) / EMBEDDING_PER_STEP
        texts += (trained / rows + 1) * len(run.stages.validation)
        texts += evaluated + (classifier.num_rows_to_embed if classifier else 0)
    return texts * seconds_per_text


def _seconds_to_fit(run: "PlannedRun") -> float:
    if run.classifier is None:
        return 0.0
    dims = dimensions(run.trainer.model)
    if run.stages.head and len(dims) == 1:
        dims *= 2
    return run.classifier.seconds_to_fit(dims)
