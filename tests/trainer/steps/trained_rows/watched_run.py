"""Runs that train the word embeddings of the training tokens alone, or all of them, watched by a callback."""

import torch
from torch import nn
from transformers import TrainerCallback

from tercet import SentenceTransformer
from tests.trainer.helpers import flat_weights, make_arguments, make_trainer

UNUSED = [f"unused{number}" for number in range(400)]


def of_the_library(kind):
    """Call a class one of Tercet: with a callback or a trainer of the user, all rows are trained."""
    kind.__module__ = "tercet.tests"
    return kind


@of_the_library
class Watch(TrainerCallback):
    """Keep the number of rows of the word embeddings in each step, and what `look` returns after the second one."""

    def __init__(self, look=None):
        self.rows, self.seen, self._look = set(), None, look

    def on_step_end(self, args, state, control, model=None, optimizer=None, **kwargs):
        """Look at the model."""
        self.rows.add(len(model.input_module.word_embeddings.weight))
        if state.global_step == 2 and self._look is not None:
            self.seen = self._look(model, optimizer)


def run(encoder, folder, data, *, look=None, resume=None, **options):
    """Train, and return the trainer and its callback."""
    watch = Watch(look)
    trainer = make_trainer(encoder, folder, data, callbacks=[watch], **options)
    trainer.train(resume_from_checkpoint=resume)
    return trainer, watch


def weights_with_and_without(make, encoder, folder, alone, expect_rows):
    """Train in float64 with and without, and compare the weights. `make(model, arguments, callbacks)` is a trainer."""
    weights = []
    for on in (True, False):
        alone(on)
        model, watch = SentenceTransformer(encoder).double(), Watch()
        make(model, make_arguments(folder / str(on)), [watch]).train()
        assert (min(watch.rows) < 300) == (on and expect_rows)
        assert type(model.input_module.word_embeddings) is nn.Embedding
        weights.append(flat_weights(model))
    torch.testing.assert_close(*weights, rtol=0, atol=1e-8)
