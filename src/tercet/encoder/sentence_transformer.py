"""SentenceTransformer, the model that maps each sentence to one embedding."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Unpack, overload

import torch
from torch import Tensor, nn

from tercet.encoder import similarity
from tercet.encoder.card import model_card
from tercet.encoder.card_data import card_data
from tercet.encoder.devices import find_device
from tercet.encoder.encode import (
    EncodeOptions,
    EncodeRequest,
    Matrix,
    Sentences,
    Vector,
    as_texts,
    convert,
    encode_texts,
    find_prompt,
    given_sentences,
)
from tercet.encoder.features import Features, on_device
from tercet.encoder.hub import hub_arguments, public_name, upload
from tercet.encoder.model_folder import (
    check_dimensions,
    check_prompts,
    check_truncate_dim,
    given_modules,
    load_modules,
)
from tercet.encoder.modules.base import embedding_dimension
from tercet.encoder.modules.transformer import Transformer
from tercet.encoder.modules.weighted_layer_pooling import ask_for_layers
from tercet.encoder.peer_names import PeerNames
from tercet.encoder.pretrained import loading_errors
from tercet.encoder.process_pool import Pool, encode_in_pool
from tercet.encoder.quantization import check_precision
from tercet.encoder.storage import ModelSettings, save_modules
from tercet.encoder.summary import summary
from tercet.encoder.weight_sample import weight_sample, weights_changed
from tercet.errors import EmbeddingError, ModelError

logger = logging.getLogger("tercet")


class SentenceTransformer(PeerNames):
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
        with loading_errors(f"use the model {name}; embedding a test sentence fails"), torch.no_grad():
            features, differ = self.input_module.test_batch()
            embeddings = self(on_device(features, self.device))["sentence_embedding"]
            expected = (2, embedding_dimension(self._modules))
            if tuple(embeddings.shape) != expected:
                raise ValueError(f"the embeddings have the shape {tuple(embeddings.shape)}, expected {expected}")
            if not embeddings.isfinite().all():
                raise ValueError("the embedding has NaN or infinite values; check the weights and config.json")
            if differ and torch.equal(embeddings[0], embeddings[1]):
                raise ValueError("two different sentences have the same embedding; check the weights and config.json")

    def remember_weights(self) -> None:
        """Say that the training record describes the present weights, as the trainer does after a training."""
        self._known_weights = weight_sample(self)

    @property
    def weights_are_known(self) -> bool:
        """Whether the weights are those that were loaded, or those that the training record describes.

        They are not if a training loop of your own has changed them. Then nothing is known of its texts.
        """
        return self._known_weights is not None and not weights_changed(self, self._known_weights)

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

    def get_sentence_embedding_dimension(self) -> int:
        """Return the dimension of an embedding that `encode` returns: `truncate_dim`, or that of the last module.

        Raises:
            ModelError: `output_size` is None for every module, or a module at the end has no such attribute.
        """
        dimension = embedding_dimension(self._modules)
        return dimension if self.truncate_dim is None else min(dimension, self.truncate_dim)

    get_embedding_dimension = get_sentence_embedding_dimension

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

    # The return type depends on `convert_to_numpy`, `convert_to_tensor` and on whether `sentences` is one string.
    # fmt: off
    @overload
    def encode(self, sentences: str, prompt_name: str | None = None, *, convert_to_numpy: Literal[True] = True,
               convert_to_tensor: Literal[False] = False, **options: Unpack[EncodeOptions]) -> Vector: ...
    @overload
    def encode(self, sentences: Sentences, prompt_name: str | None = None, *, convert_to_numpy: Literal[True] = True,
               convert_to_tensor: Literal[False] = False, **options: Unpack[EncodeOptions]) -> Matrix: ...
    @overload
    def encode(self, sentences: str | Sentences, prompt_name: str | None = None, *, convert_to_numpy: bool = True,
               convert_to_tensor: Literal[True], **options: Unpack[EncodeOptions]) -> Tensor: ...
    @overload
    def encode(self, sentences: str, prompt_name: str | None = None, *, convert_to_numpy: Literal[False],
               convert_to_tensor: bool = False, **options: Unpack[EncodeOptions]) -> Tensor: ...
    @overload
    def encode(self, sentences: Sentences, prompt_name: str | None = None, *, convert_to_numpy: Literal[False],
               convert_to_tensor: Literal[False] = False, **options: Unpack[EncodeOptions]) -> list[Tensor]: ...
    @overload
    def encode(self, sentences: str | Sentences | None = None, prompt_name: str | None = None, *,
               output_value: str | None = "sentence_embedding", precision: str | None = "float32",
               convert_to_numpy: bool = True, convert_to_tensor: bool = False, inputs: Any = None,
               **options: Unpack[EncodeOptions]) -> Any: ...
    # fmt: on
    @torch.no_grad()
    def encode(
        self,
        sentences: str | Sentences | None = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = False,
        output_value: str | None = "sentence_embedding",
        precision: str | None = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: str | torch.device | Sequence[str | torch.device] | None = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        pool: Pool | None = None,
        chunk_size: int | None = None,
        *,
        batch_tokens: int | None = None,
        inputs: Any = None,
        task: Literal["query", "document"] | None = None,
    ) -> Any:
        """Compute the embeddings of sentences, in the order of the sentences.

        Args:
            sentences: one string, or several strings: a list, an array, or one column of a table.
            prompt_name: name of a prompt in `prompts` to prepend to every sentence; by default `default_prompt_name`.
            prompt: string to prepend to every sentence. It overrides `prompt_name`; an empty string means no prompt.
            batch_size: maximum number of sentences per batch. The limit of `batch_tokens` applies as well.
            show_progress_bar: whether to show a progress bar. If None, one is shown if the logger "tercet" logs INFO.
            output_value: "sentence_embedding"; "token_embeddings" for a tensor `(num_tokens, hidden_size)` of each
                sentence; or None for a dictionary of all features of each sentence, with padding.
            precision: "float32", or a form of `tercet.encoder.quantize_embeddings`: "int8", "uint8", "binary" or
                "ubinary". The ranges of "int8" and "uint8" are those of these sentences.
            convert_to_numpy: whether to return a NumPy array. If False, a list of one tensor `(dim,)` per sentence is
                returned, or one tensor if `sentences` is one string.
            convert_to_tensor: whether to return one tensor. It overrides `convert_to_numpy`.
            device: device to move the model to before encoding. The model stays there. A list of devices starts a
                process for each one for this call; see `start_multi_process_pool`.
            normalize_embeddings: whether to scale each embedding to Euclidean norm 1 (a zero embedding stays zero).
            truncate_dim: number of leading dimensions to return; by default the attribute `truncate_dim`.
            pool: processes to encode in, from `start_multi_process_pool`.
            chunk_size: number of sentences that a process of the pool receives at once.
            batch_tokens: maximum number of tokens per batch, counted as if every sentence were padded to the longest
                one in the batch. A longer sentence is the only one of its batch. By default 1,024 on a CPU and 32,768
                on other devices. Lower it to use less memory.
            inputs: another name of `sentences`.
            task: "query" from `encode_query`, "document" from `encode_document`. It chooses the route of a `Router`.

        Returns:
            The embeddings `(num_sentences, dim)`, by default in float32, or one embedding `(dim,)` if `sentences` is
            one string. For another `output_value`, a list with an entry for each sentence, or the entry.

        Raises:
            EmbeddingError: `sentences` is a table, a dictionary or a set, a sentence is not a string or contains a lone
                surrogate, `batch_size`, `batch_tokens` or `chunk_size` is not a positive integer, `output_value` or
                `precision` is unknown, "int8" or "uint8" has one sentence only, or a process of the pool failed.
            ModelError: no prompt is called `prompt_name`, the prompt leaves no room for a word within
                `max_seq_length`, `truncate_dim` is not a positive integer, the first module is not a `Transformer`, or
                the modules do not state the dimension; see `get_sentence_embedding_dimension`.
        """
        sentences = given_sentences(sentences, inputs)
        texts = as_texts(sentences)
        check_truncate_dim(truncate_dim)
        request = EncodeRequest(
            prompt=find_prompt(self.prompts, prompt_name or self.default_prompt_name, prompt),
            output_value=output_value,
            batch_size=batch_size,
            batch_tokens=batch_tokens,
            normalize_embeddings=normalize_embeddings,
            truncate_dim=truncate_dim or self.truncate_dim,
            show_progress_bar=logger.isEnabledFor(logging.INFO) if show_progress_bar is None else show_progress_bar,
            task=task,
        )
        precision = check_precision(precision)
        result: Any
        if pool is not None or isinstance(device, (list, tuple)):
            result = encode_in_pool(self, texts, request, pool, device, chunk_size)
        elif chunk_size is not None:
            raise EmbeddingError("chunk_size is for several processes; pass it with pool or with a list of devices")
        else:
            if device is not None:
                self.to(find_device(device))  # type: ignore[arg-type]
            result = encode_texts(self, texts, request)
        if output_value == "sentence_embedding":
            result = convert(result, precision, to_numpy=convert_to_numpy, to_tensor=convert_to_tensor)
        return result[0] if isinstance(sentences, str) else result

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """Return the similarity of each row of `embeddings1` to each row of `embeddings2`.

        The shapes are `(n, dim), (m, dim) → (n, m)`. The attribute `similarity_fn_name` determines the similarity. A
        larger value means more similar.
        """
        return similarity.matrix(embeddings1, embeddings2, self.similarity_fn_name)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """Return the similarity of row i of `embeddings1` to row i of `embeddings2`: `(n, dim), (n, dim) → (n,)`."""
        return similarity.pairs(embeddings1, embeddings2, self.similarity_fn_name)

    def save_pretrained(
        self,
        path: str | Path,
        model_name: str | None = None,
        create_model_card: bool = True,
        train_datasets: list[Any] | None = None,
        safe_serialization: bool = True,
        *,
        more_files: dict[str, Any] | None = None,
        overwrite: bool = True,
    ) -> None:
        """Write the model directory and its model card atomically.

        An existing folder stays where it is, with its permissions. Files of an earlier model are removed from it, such
        as its weights, adapter and tokenizer. All other files are kept, also a README.md that is not a generated model
        card; then no card is written, with a warning.

        Args:
            path: the folder. It may be a symbolic link to a folder, a mounted folder or the current folder.
            model_name: the name of the model on the hub, for the card.
            create_model_card: whether to write a model card, the file README.md.
            train_datasets: names of the training data sets, for the card.
            safe_serialization: must be True: weights are written as safetensors only.
            more_files: further files to write into the folder: by file name, bytes, or the content of a JSON file.
            overwrite: whether the folder may have files already.

        Raises:
            DataError: another process writes to the folder, it has files although `overwrite` is False, or it is not
                the folder of a model but has files with the names of those of a model, such as config.json.
            ModelError: the folder cannot be written, a module has no method `save`, the first module is not a
                `Transformer`, the modules do not state the dimension of an embedding, or `safe_serialization` is False.
        """
        if not safe_serialization:
            raise ModelError("safe_serialization=False would write pickle files, which run code when they are read; "
                             "weights are written as safetensors only")  # fmt: skip
        if model_name is not None:
            self.model_card_data.model_id = model_name
        if train_datasets is not None:
            self.model_card_data.train_datasets = list(train_datasets)
        record = self.training_record
        if record is not None and not self.weights_are_known:  # Others may have trained it since.
            record = replace(record, text_hashes=None)
        settings = ModelSettings(
            prompts=self.prompts,
            default_prompt_name=self.default_prompt_name,
            similarity_fn_name=self.similarity_fn_name,
            truncate_dim=self.truncate_dim,
            label_names=self.label_names,
            training_record=record,
        )
        card = model_card(
            settings,
            self.model_card_data,
            base_model=self.base_model_name,
            dimension=self.get_sentence_embedding_dimension(),
            max_seq_length=self.max_seq_length,
        )
        save_modules(
            self.named_children(),
            settings,
            card if create_model_card else None,
            Path(path),
            more_files or {},
            overwrite=overwrite,
        )

    save = save_pretrained

    def push_to_hub(
        self,
        repo_id: str,
        token: str | None = None,
        private: bool | None = None,
        safe_serialization: bool = True,
        commit_message: str = "Add a model trained with Tercet",
        local_model_path: str | Path | None = None,
        exist_ok: bool = False,
        replace_model_card: bool = False,
        train_datasets: list[Any] | None = None,
        revision: str | None = None,
        create_pr: bool = False,
    ) -> str:
        """Save the model to a temporary folder, upload it to the hub, and return the URL of the commit.

        Args:
            repo_id: the name on the hub, such as "me/my-model". The repository is created.
            token: the token of the hub; by default the one that is stored on this machine.
            private: whether a new repository is private.
            safe_serialization: must be True, see `save_pretrained`.
            commit_message: the message of the commit.
            local_model_path: upload this folder instead of the model.
            exist_ok: whether the repository may exist.
            replace_model_card: whether to replace the README.md that the repository has.
            train_datasets: names of the training data sets, for the card.
            revision: the branch. It is created.
            create_pr: whether to create a pull request for the default branch. Its address is returned. The repository
                may exist.

        Raises:
            ModelError: the repository exists although `exist_ok` is False, both `revision` and `create_pr` are given,
                or see `save_pretrained`.
        """
        if local_model_path is None:
            self.model_card_data.set_model_id(repo_id)
        save = partial(self.save_pretrained, train_datasets=train_datasets, safe_serialization=safe_serialization)
        return upload(
            save if local_model_path is None else Path(local_model_path),
            repo_id,
            token=token,
            private=private,
            exist_ok=exist_ok or create_pr,
            replace_card=replace_model_card,
            revision=revision,
            create_pr=create_pr,
            commit_message=commit_message,
        )
