"""SentenceTransformer, the model that maps each sentence to one embedding."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tercet.encoder import similarity
from tercet.encoder.card_data import card_data
from tercet.encoder.devices import find_device
from tercet.encoder.encode_arguments import find_prompt
from tercet.encoder.features import Features, on_device
from tercet.encoder.hub import hub_arguments, public_name
from tercet.encoder.model_folder import check_dimensions, given_modules, load_modules
from tercet.encoder.modules.base import embedding_dimension
from tercet.encoder.modules.transformer import Transformer
from tercet.encoder.modules.weighted_layer_pooling import ask_for_layers
from tercet.encoder.pretrained import loading_errors
from tercet.encoder.saved_model import SavedModel
from tercet.encoder.settings import check_prompts, check_truncate_dim
from tercet.encoder.storage import ModelSettings
from tercet.encoder.summary import summary
from tercet.encoder.threads import no_gradients
from tercet.errors import ModelError


class SentenceTransformer(SavedModel):
    """A sequence of a `Transformer`, `Pooling` and further modules, in the file format of sentence-transformers.

    The first module may also be a `StaticEmbedding`, which needs no `Pooling`.

    Pass `model_name_or_path` to load a model, or `modules` to build one.

    Args:
        model_name_or_path: a folder, or a name on the hub. A model without `modules.json` gets mean pooling.
        modules: the modules of a new model; the first one is a `Transformer` or a `StaticEmbedding`.
        device: by default "cuda" if a CUDA GPU is available, else "cpu". PyTorch must be able to compute on it.
        prompts: strings that `encode` can prepend to every sentence, by name. They are added to the saved prompts and
            replace saved prompts of the same name.
        default_prompt_name: name of the prompt that `encode` prepends by default. If None, the saved name is used.
        similarity_fn_name: "cosine", "dot", or the name of a distance. The similarity of a distance is its negative. By
            default the saved name, or "cosine" if none is saved.
        packing: whether to compute batches without padding if the architecture supports it. The default is True.
        trust_remote_code: whether to run Python code from the repository of the model.
        truncate_dim: number of leading dimensions that `encode` returns; by default the saved number, or all.
        model_card_data: what the model card says besides the training: language, license, tags and others.
        hub: arguments for the hub and for `transformers`: `revision`, `token`, `cache_folder`, `local_files_only`,
            `model_kwargs`, `tokenizer_kwargs` (also called `processor_kwargs`) and `config_kwargs`. `backend` may only
            be "torch".

    Attributes:
        label_names: names of the labels in the training data, in the order of their ids; None if they are unknown.
        training_record: loss, settings and metrics for the model card; None if Tercet did not train the model.
        base_model_name: name of the loaded model for the model card; only the last component of a local path; None if
            no name was passed.

    Raises:
        ModelError: the model is not found or is invalid, a module type or similarity is not supported, no prompt is
            called `default_prompt_name`, or neither a name nor modules are passed.
        TypeError: an argument is unknown.

    Example:
        >>> from tercet.encoder import load_model
        >>> model = load_model("bundled")
        >>> embeddings = model.encode(["a sentence", "another one"])
        >>> model.similarity(embeddings, embeddings).shape
        torch.Size([2, 2])
    """

    def __init__(
        self,
        model_name_or_path: str | Path | None = None,
        modules: Sequence[nn.Module] | Mapping[str, nn.Module] | None = None,
        device: str | torch.device | None = None,
        prompts: dict[str, str] | None = None,
        default_prompt_name: str | None = None,
        similarity_fn_name: Any = None,
        *,
        packing: bool | None = None,
        trust_remote_code: bool = False,
        truncate_dim: int | None = None,
        model_card_data: Any = None,
        **hub: Any,
    ) -> None:
        hub = hub_arguments(hub)
        device = find_device(device)
        if modules is not None:
            if model_name_or_path is not None:
                raise ModelError("pass model_name_or_path or modules, not both")
            children, settings = given_modules(modules), ModelSettings()
            check_dimensions(list(children.values()))
        elif model_name_or_path is not None:
            children, settings = load_modules(str(model_name_or_path), trust_remote_code=trust_remote_code, **hub)
        else:
            raise ModelError(
                "no model: pass modules, or pass model_name_or_path, a folder or a name on the hub such as "
                "'sentence-transformers/all-MiniLM-L6-v2'"
            )
        super().__init__(children)
        if packing is not None:
            self.packing = packing
        self.base_model_name = None if model_name_or_path is None else public_name(str(model_name_or_path))
        self.trust_remote_code = trust_remote_code
        if not isinstance(prompts, (dict, type(None))):
            raise ModelError(f"prompts must be a dictionary of a name and a string each, got {prompts!r}")
        self.prompts = {**settings.prompts, **(prompts or {})}
        self._prompts_assigned = False
        self.model_card_data = card_data(model_card_data)
        self.model_card_data.base_model = self.model_card_data.base_model or self.base_model_name
        self.default_prompt_name = default_prompt_name or settings.default_prompt_name
        self.similarity_fn_name = similarity_fn_name or settings.similarity_fn_name or "cosine"
        self.label_names = settings.label_names
        self.training_record = settings.training_record
        self.truncate_dim = settings.truncate_dim if truncate_dim is None else truncate_dim
        check_prompts(self.prompts, self.default_prompt_name)
        self.eval()
        self.to(device)
        self._known_weights: dict[str, Tensor] | None = None
        if modules is None:
            self._check_that_it_runs(str(model_name_or_path))
            self.remember_weights()

    @property
    def prompts(self) -> dict[str, str]:
        """The prompts by name."""
        return self._prompts

    @prompts.setter
    def prompts(self, prompts: dict[str, str]) -> None:
        self._prompts, self._prompts_assigned = prompts, True

    def _check_that_it_runs(self, name: str) -> None:
        """Embed two rows of tokens, so that a model that cannot be used fails when it is loaded."""
        self.input_module.check_prompt(find_prompt(self.prompts, self.default_prompt_name, None))
        with loading_errors(f"use the model {name}; embedding a test sentence fails"), no_gradients(self):
            features, differ = self.input_module.test_batch()
            embeddings = self(on_device(features, self.device))["sentence_embedding"]
            expected = (2, embedding_dimension(self._modules))
            if tuple(embeddings.shape) != expected:
                raise ValueError(f"the embeddings have the shape {tuple(embeddings.shape)}, expected {expected}")
            if not embeddings.isfinite().all():
                raise ValueError("the embedding has NaN or infinite values; check the weights and config.json")
            if differ and torch.equal(embeddings[0], embeddings[1]):
                raise ValueError("two different sentences have the same embedding; check the weights and config.json")

    def __repr__(self) -> str:
        """Return five lines: modules, pooling, dimension, limit and packing. `print(list(model))` shows all layers."""
        return summary(self)

    def __getitem__(self, index: int | slice) -> Any:
        """Return one module for an index, or an `nn.Sequential` of modules for a slice."""
        return nn.Sequential(*list(self)[index]) if isinstance(index, slice) else super().__getitem__(index)

    @property
    def transformer(self) -> Transformer:
        """The first module of the model.

        Raises:
            ModelError: the first module is not a `Transformer`.
        """
        first = next(iter(self), None)
        if not isinstance(first, Transformer):
            raise ModelError(f"the first module must be a Transformer, but it is {type(first).__name__}")
        return first

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of the encoder."""
        return self.input_module.tokenizer

    @tokenizer.setter
    def tokenizer(self, tokenizer: Any) -> None:
        self.input_module.tokenizer = tokenizer

    @property
    def device(self) -> torch.device:
        """The device of the first parameter."""
        return next(self.parameters()).device

    @property
    def max_seq_length(self) -> int | None:
        """Maximum number of tokens of a sentence, including special tokens. Longer sentences are truncated.

        None means no limit. Setting None sets the number of positions of the model, if it has one. Setting a value that
        is not an integer, leaves no room for a word beside the special tokens, or is above this number raises a
        `ModelError`.
        """
        return self.input_module.max_seq_length

    @max_seq_length.setter
    def max_seq_length(self, value: int | None) -> None:
        self.input_module.max_seq_length = value

    @property
    def packing(self) -> bool:
        """True to compute packed batches without padding if the model supports it, False to pad every batch."""
        return self.input_module.packing

    @packing.setter
    def packing(self, value: bool) -> None:
        self.input_module.packing = value

    @property
    def similarity_fn_name(self) -> str:
        """The name of the similarity that `similarity` computes. Setting an unknown name raises a `ModelError`."""
        return self._similarity_fn_name

    @similarity_fn_name.setter
    def similarity_fn_name(self, name: str) -> None:
        self._similarity_fn_name = similarity.check_name(name)

    @property
    def truncate_dim(self) -> int | None:
        """The number of leading dimensions of an embedding that `encode` returns; None for all.

        It is read from the files of a model and saved with it. Training uses all dimensions. Setting a value that is
        not a positive integer raises a `ModelError`.
        """
        return self._truncate_dim

    @truncate_dim.setter
    def truncate_dim(self, value: int | None) -> None:
        check_truncate_dim(value)
        self._truncate_dim = None if value is None else int(value)

    def tokenize(self, texts: list[str]) -> Features:
        """Tokenize texts into a padded batch on the CPU, truncated to `max_seq_length`.

        Returns:
            `input_ids` `(batch, seq_len)` and `attention_mask` `(batch, seq_len)`. Some tokenizers add further
            features, such as `token_type_ids`.
        """
        return self.input_module.tokenize(texts)

    def token_ids(self, texts: list[str]) -> list[list[int]]:
        """Return the token ids of each text, truncated to `max_seq_length`, for `tercet.encoder.packing.pack`."""
        return self.input_module.token_ids(texts)

    def token_counts(self, texts: list[str]) -> list[int]:
        """Return the number of tokens of each text before truncation, with special tokens and the default prompt."""
        prompt = find_prompt(self.prompts, self.default_prompt_name, None)
        return self.input_module.token_counts([prompt + text for text in texts])

    def forward(self, features: Features) -> Features:
        """Run all modules on a padded or packed batch; the result contains `sentence_embedding` `(batch, dim)`."""
        features = ask_for_layers(self, features)
        for module in self:
            features = module(features)
        return features

    def activation_checkpointing_enable(self, **options: Any) -> None:
        """Enable activation checkpointing: recompute activations in the backward pass to use less memory.

        `options` are those of the same method in `transformers`.
        """
        self.transformer.auto_model.activation_checkpointing_enable(**options)

    def gradient_checkpointing_enable(self, **options: Any) -> None:
        """Enable activation checkpointing by its older name, which `transformers` 6 will remove."""
        self.transformer.auto_model.gradient_checkpointing_enable(**options)

    def add_adapter(self, peft_config: Any, adapter_name: str | None = None) -> None:
        """Add a peft adapter, for example `peft.LoraConfig(r=8)`, and freeze the other weights of the Transformer.

        Of the Transformer, only the adapter is then trained and saved. Other modules with weights, such as Dense, are
        still trained.
        """
        self.transformer.auto_model.add_adapter(peft_config, adapter_name)
