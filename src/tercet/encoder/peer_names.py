"""The methods of the model of sentence-transformers besides `encode` and saving, as a base class.

`self` is typed as `Any`, because it is a `SentenceTransformer`, which is defined on top of this class.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from tercet.encoder.features import Features
from tercet.encoder.modules import Pooling, Transformer
from tercet.encoder.modules.input_module import InputModule, first_input_module
from tercet.encoder.process_pool import Pool, start_pool, stop_pool
from tercet.encoder.similarity import COMMON_NAMES
from tercet.errors import ModelError

# The prompts that `encode_document` looks for, the first one found is used.
_DOCUMENT_PROMPTS = ("document", "passage", "corpus")
# The arguments of `encode` after the prompt, which may be passed by position.
_MORE_ARGUMENTS = (
    "batch_size", "show_progress_bar", "output_value", "precision", "convert_to_numpy", "convert_to_tensor", "device",
    "normalize_embeddings", "truncate_dim", "pool", "chunk_size",
)  # fmt: skip


class PeerNames(nn.Sequential):
    """The methods of `SentenceTransformer` that code for sentence-transformers calls besides `encode`."""

    SUPPORTED_SIMILARITY_FN_NAMES: ClassVar = COMMON_NAMES

    def encode_query(
        self: Any,
        sentences: Any = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        *args: Any,
        **options: Any,
    ) -> Any:
        """Call `encode` with the prompt "query", if the model has it; without any prompt otherwise.

        `prompt_name` and `prompt` override this. The other arguments are those of `encode`.
        """
        return _encode_as(self, "query", ("query",), sentences, prompt_name, prompt, args, options)

    def encode_document(
        self: Any,
        sentences: Any = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        *args: Any,
        **options: Any,
    ) -> Any:
        """Call `encode` with the prompt "document", if the model has it; without any prompt otherwise.

        `prompt_name` and `prompt` override this. The other arguments are those of `encode`. If `prompts` was assigned,
        "passage" and "corpus" count as names of this prompt, too.
        """
        names = _DOCUMENT_PROMPTS if self._prompts_assigned else _DOCUMENT_PROMPTS[:1]
        return _encode_as(self, "document", names, sentences, prompt_name, prompt, args, options)

    def start_multi_process_pool(self, target_devices: Sequence[str | torch.device] | None = None) -> Pool:
        """Start a process per device with a copy of this model, for the argument `pool` of `encode`.

        Args:
            target_devices: for example ["cuda:0", "cuda:1"], or ["cpu"] * 4. By default all CUDA devices, else four
                processes on the CPU.

        The model itself is moved to the CPU. A script that calls this needs `if __name__ == "__main__":`, because each
        process imports the script. Call `stop_multi_process_pool` at the end.

        Raises:
            ModelError: PyTorch cannot compute on a device.
        """
        return start_pool(self, target_devices)

    @staticmethod
    def stop_multi_process_pool(pool: Pool) -> None:
        """End the processes of a pool."""
        stop_pool(pool)

    def encode_multi_process(self: Any, sentences: Any, pool: Pool, *args: Any, **options: Any) -> Any:
        """Call `encode` with a pool. The other arguments are those of `encode`."""
        return self.encode(sentences, *args, pool=pool, **options)

    def fit(self, train_objectives: Any, *args: Any, **options: Any) -> None:
        """Train with data loaders of `InputExample`, as before version 3 of sentence-transformers.

        New code uses `SentenceTransformerTrainer`. The arguments are those of `tercet.compat.fit.fit`.
        """
        import_module("tercet.compat.fit").fit(self, train_objectives, *args, **options)

    def evaluate(self, evaluator: Any, output_path: str | Path | None = None) -> Any:
        """Call an evaluator with this model and return its result.

        Args:
            evaluator: an evaluator of Tercet or of sentence-transformers.
            output_path: the folder for the files that the evaluator writes. It is created.
        """
        if output_path is not None:
            Path(output_path).mkdir(parents=True, exist_ok=True)
        return evaluator(self, None if output_path is None else str(output_path))

    def preprocess(self: Any, inputs: list[str], prompt: str | None = None, task: str | None = None) -> Features:
        """Tokenize texts as `tokenize` does, after a prompt; see `InputModule.preprocess`.

        `task` chooses the route of a `Router`, and is then a feature.
        """
        features: Features = self.input_module.for_task(task).preprocess(inputs, prompt)
        return features if task is None or not features else {**features, "task": task}

    def get_max_seq_length(self: Any) -> int | None:
        """Return `max_seq_length`."""
        limit: int | None = self.max_seq_length
        return limit

    @property
    def input_module(self) -> InputModule:
        """The first module of the model, which tokenizes the texts.

        Raises:
            ModelError: the first module is another one.
        """
        return first_input_module(self)

    def _first_module(self) -> nn.Module:
        return next(iter(self))

    def _last_module(self) -> nn.Module:
        return next(reversed(self._modules.values()))

    @property
    def dtype(self) -> torch.dtype | None:
        """The dtype of the first parameter; None for a model without parameters."""
        return next((parameter.dtype for parameter in self.parameters()), None)

    @property
    def transformers_model(self) -> Any:
        """The encoder of `transformers`; None if the first module is not a `Transformer`."""
        first = next(iter(self), None)
        return first.auto_model if isinstance(first, Transformer) else None

    @property
    def config(self) -> Any:
        """The configuration of the encoder; None if the first module is not a `Transformer`."""
        return getattr(self.transformers_model, "config", None)

    @property
    def _target_device(self: Any) -> Any:
        return self.device

    @_target_device.setter
    def _target_device(self, device: str | torch.device) -> None:
        self.to(device)

    def set_pooling_include_prompt(self, include_prompt: bool) -> None:
        """Set whether the tokens of the prompt are pooled, too."""
        pooling = next((module for module in self if isinstance(module, Pooling)), None)
        if pooling is None:
            raise ModelError("the model has no Pooling module, so there is no include_prompt to set")
        pooling.include_prompt = include_prompt

    @contextmanager
    def truncate_embeddings(self: Any, truncate_dim: int | None) -> Iterator[None]:
        """Set `truncate_dim` while the block runs."""
        before = self.truncate_dim
        self.truncate_dim = truncate_dim
        try:
            yield
        finally:
            self.truncate_dim = before

    truncate_sentence_embeddings = truncate_embeddings

    def active_adapters(self) -> list[str]:
        """Return the names of the peft adapters that are used."""
        return list(self._peft("active_adapters"))

    def load_adapter(self, *args: Any, **options: Any) -> Any:
        """Load a peft adapter into the encoder; the arguments are those of `transformers`."""
        return self._peft("load_adapter", *args, **options)

    def set_adapter(self, adapter_name: str | list[str]) -> None:
        """Use this adapter of the encoder."""
        self._peft("set_adapter", adapter_name)

    def enable_adapters(self) -> None:
        """Use the adapters of the encoder."""
        self._peft("enable_adapters")

    def disable_adapters(self) -> None:
        """Compute without the adapters of the encoder."""
        self._peft("disable_adapters")

    def get_adapter_state_dict(self, adapter_name: str | None = None) -> dict[str, Any]:
        """Return the weights of an adapter."""
        weights: dict[str, Any] = self._peft("get_adapter_state_dict", adapter_name)
        return weights

    def _peft(self: Any, method: str, *args: Any, **options: Any) -> Any:
        return getattr(self.transformer.auto_model, method)(*args, **options)

    def save_to_hub(self: Any, repo_id: str, organization: str | None = None, **options: Any) -> str:
        """Call `push_to_hub`, whose older name this is."""
        warnings.warn("save_to_hub is an old name; call push_to_hub", FutureWarning, stacklevel=2)
        address: str = self.push_to_hub(f"{organization}/{repo_id}" if organization else repo_id, **options)
        return address


def _encode_as(
    model: Any,
    task: str,
    names: Sequence[str],
    sentences: Any,
    prompt_name: str | None,
    prompt: str | None,
    args: tuple[Any, ...],
    options: dict[str, Any],
) -> Any:
    """Call `encode` with the first prompt that exists, by the keywords of sentence-transformers, for subclasses."""
    if prompt_name is None and prompt is None:
        prompt_name = next((name for name in names if name in model.prompts), None)
        prompt = "" if prompt_name is None else None
    given = {"prompt_name": prompt_name, "prompt": prompt, **dict(zip(_MORE_ARGUMENTS, args, strict=False)), **options}
    return model.encode(**({"inputs": sentences} if sentences is not None else {}), **given, task=task)
