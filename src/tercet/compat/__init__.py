"""Names and module paths of sentence-transformers, for code whose import was changed to `tercet`.

`from tercet.models import Pooling` works, although no such module exists: a finder makes it when it is imported.

paths.py      the tables: which paths and names exist here, which do not, and what to do without them
finder.py     the finder, and the modules that it makes
util.py       the functions of `sentence_transformers.util` that Tercet has
fit.py        `model.fit`; fit_batches.py draws its batches, fit_callbacks.py evaluates and saves
input_examples.py   InputExample and SentenceLabelDataset
logging_handler.py  LoggingHandler

Nothing here is imported before such a name is used. The rest of the package does not import it, except in the places
that the import-linter contract in `pyproject.toml` lists.
"""
