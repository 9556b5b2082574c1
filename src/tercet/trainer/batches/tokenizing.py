"""Turn the rows of prepared data sets into token ids, and choose the collator that packs them."""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from tercet.encoder.modules import Router
from tercet.encoder.token_stats import TokenStats
from tercet.trainer.batches.collate import add_prompts, collate, collate_columns, tokenize
from tercet.trainer.batches.rows import ColumnConverter, Rows, TextRows, TransformedRows
from tercet.trainer.batches.sampling import SamplingTrainer
from tercet.trainer.data_sets.columns import has_transform
from tercet.trainer.data_sets.prepared_sets import first_rows, parts_of
from tercet.trainer.data_sets.streaming import Stream
from tercet.trainer.loss.kinds import set_losses, takes_embeddings, takes_triplets

logger = logging.getLogger(__name__)

# The token ids of larger data sets are not kept: they would take more memory than the texts, and minutes before the
# first step. Tokenization takes less than a tenth of a step of the smallest usual encoder.
ROWS_TOKENIZED_ONCE = 200_000
# The number of texts of such a data set in which truncated texts and unknown tokens are counted.
_SAMPLED_TEXTS = 10_000


class TokenizingTrainer(SamplingTrainer):
    """The part of `SentenceTransformerTrainer` that turns the rows of prepared data sets into token ids."""

    train_token_stats: TokenStats | None = None

    @property
    def _packs(self) -> bool:
        """True if the trainer packs the batches itself, without a custom `data_collator`."""
        return self.data_collator in (collate, collate_columns)

    def _collator(self, model: Any) -> Callable[..., Any]:
        """Return the default collator.

        A loss with `forward` alone takes the features of each column, and a Router has a route for each.
        """
        has_routes = isinstance(next(iter(model)), Router)
        by_column = any(
            (has_routes or not takes_embeddings(loss)) and takes_triplets(loss, default=self._train_columns("anchor"))
            for loss in set_losses(self.loss)
        )
        return collate_columns if by_column else collate

    def _rows(self, dataset: Any) -> Rows:
        """Return the rows of a prepared data set, with token ids, or with texts for a custom collator."""
        facts = self._prepared_sets[dataset]
        if facts.labels is not None or has_transform(facts.source):
            return TransformedRows(
                dataset, facts.source, facts.columns, facts.labels, self._converter(dataset), facts.name
            )
        if self._packs and len(dataset) > ROWS_TOKENIZED_ONCE:
            self._count_tokens_of_sample(dataset)
            return TextRows(dataset, self._converter(dataset), facts.name)
        rows = self._with_token_ids(dataset) if self._packs else add_prompts(dataset, self._prompts_of(facts.name))
        return Rows(dataset, rows, facts.name)

    def _converter(self, dataset: Any) -> ColumnConverter:
        """Return the function that converts drawn texts of a prepared data set, for its data loader."""
        facts, encoder = self._prepared_sets[dataset], self.model.input_module
        prompts, tasks = self._prompts_of(facts.name), self._tasks_of(facts.name)
        roles = facts.columns.values()
        return ColumnConverter(
            prompts, {role: encoder.for_task(tasks.get(role)) for role in roles} if self._packs else None
        )

    def _token_ids(
        self, name: str | None, role: str, texts: list[str], stats: TokenStats | None = None
    ) -> list[list[int]]:
        """Return the token ids of texts of a prepared column, after its prompt, by the tokenizer of its task."""
        prompt, tokens = self._prompts_of(name).get(role, ""), self.model.input_module
        return tokens.for_task(self._tasks_of(name).get(role)).token_ids([prompt + text for text in texts], stats)

    def _with_token_ids(self, dataset: Any) -> Any:
        encoder, facts = self.model.input_module, self._prepared_sets[dataset]
        settings = (*encoder.token_settings(), self._prompts_of(facts.name), self._tasks_of(facts.name))
        if facts.tokens is None or facts.tokens_for != settings:
            stats = TokenStats()
            facts.tokens = tokenize(dataset, lambda role, texts: self._token_ids(facts.name, role, texts, stats))
            facts.tokens_for = settings
            if dataset is self.train_dataset:
                self.train_token_stats = stats
                encoder.warned.clear()
            stats.warn(encoder.warned, self._kind_of_texts(dataset))
        return facts.tokens

    def _kind_of_texts(self, dataset: Any) -> str:
        """Return whose texts a prepared data set has, for a warning."""
        parts = [first_rows(part) for part in parts_of(self.train_dataset).values()]
        return "training texts" if any(dataset is part for part in parts) else "evaluation texts"

    def _count_tokens_of_sample(self, dataset: Any) -> None:
        """Count truncated texts and unknown tokens in a random part of a large data set, and warn of them once."""
        facts, encoder, stats = self._prepared_sets[dataset], self.model.input_module, TokenStats()
        settings = (*encoder.token_settings(), self._prompts_of(facts.name), self._tasks_of(facts.name))
        if facts.tokens_for == settings:
            return
        facts.tokens_for = settings
        size = min(_SAMPLED_TEXTS, len(dataset))
        sample = np.random.default_rng(self._data_seed).choice(len(dataset), size, replace=False)
        for role, texts in dataset.with_format(None)[np.sort(sample).tolist()].items():
            if role != "label":
                self._token_ids(facts.name, role, texts, stats)
        is_stream = isinstance(self.train_dataset, Stream) and dataset is self.train_dataset.prepared
        rows = "the rows of the stream" if is_stream else f"{len(dataset):,} rows"
        logger.info(
            f"{rows} are tokenized batch by batch; truncated texts and unknown tokens are counted in {size:,} of them"
        )
        stats.sampled_of = len(dataset)
        if dataset is first_rows(self.train_dataset):
            self.train_token_stats = stats
            encoder.warned.clear()
        stats.warn(encoder.warned, self._kind_of_texts(dataset))

    def tokenize_train_dataset(self) -> TokenStats | None:
        """Tokenize the training data now instead of at the first step, and warn of texts that the model cannot read.

        Return the counts of truncated texts and unknown tokens; None with a custom `data_collator`.
        """
        if not self._packs:
            return None
        if not isinstance(self.train_dataset, Stream):
            self._rows(self.train_dataset)
        return self.train_token_stats
