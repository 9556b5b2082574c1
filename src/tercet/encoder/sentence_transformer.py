"""The sentence-embedding model: sentences in, one vector for each of them out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Unpack, overload

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tercet._texts import check_texts
from tercet.encoder import similarity
from tercet.encoder.card import model_card
from tercet.encoder.encode import EncodeOptions, Matrix, Sentences, Vector, embed, find_prompt
from tercet.encoder.features import Features
from tercet.encoder.hub import HUB_ARGUMENTS, public_name, upload
from tercet.encoder.modules.base import embedding_dimension
from tercet.encoder.modules.transformer import Transformer
from tercet.encoder.storage import ModelSettings, load_modules, save_modules
from tercet.errors import EmbeddingError, ModelError, listed


class SentenceTransformer(nn.Sequential):
    """A sequence of a transformer encoder, pooling and further modules, saved as sentence-transformers does.

    Args:
        model_name_or_path: folder or name on the hub of a saved model, or of an encoder, which gets mean pooling.
        modules: the modules themselves, instead of a name; the first one is a `Transformer`.
        device: by default a GPU if there is one.
        prompts: texts to put before every sentence, by name.
        default_prompt_name: the prompt that is used by default.
        similarity_fn_name: "cosine" (the default), "dot", or a distance, whose negative is the similarity.
        packing: whether to compute batches without padding, if the architecture can; on by default.
        trust_remote_code: whether to run Python code that comes with the model.
        hub: `revision`, `token`, `cache_folder`, `model_kwargs`, `tokenizer_kwargs`, `config_kwargs`.

    Attributes:
        label_names: names of the labels that the model was trained on, by label id.
        training_record: how the model was trained, for its card; None if Tercet has not trained it.
        base_model_name: name of the model that was loaded, for the card.

    Raises:
        ModelError: the model is missing or broken, or a module or name is not supported.

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
        modules: Sequence[nn.Module] | None = None,
        device: str | torch.device | None = None,
        prompts: dict[str, str] | None = None,
        default_prompt_name: str | None = None,
        similarity_fn_name: str | None = None,
        packing: bool | None = None,
        trust_remote_code: bool = False,
        **hub: Any,
    ) -> None:
        if unknown := set(hub) - HUB_ARGUMENTS:
            raise TypeError(f"SentenceTransformer has no argument {listed(sorted(unknown))}")
        if modules is not None:
            children, settings = list(modules), ModelSettings()
        elif model_name_or_path is not None:
            children, settings = load_modules(str(model_name_or_path), trust_remote_code=trust_remote_code, **hub)
        else:
            raise ModelError("name a model (a folder or a name on the hub), or pass modules")
        super().__init__(*children)
        if packing is not None:
            self.packing = packing
        self.base_model_name = None if model_name_or_path is None else public_name(str(model_name_or_path))
        self.trust_remote_code = trust_remote_code
        self.prompts = {**settings.prompts, **(prompts or {})}
        self.default_prompt_name = default_prompt_name or settings.default_prompt_name
        self.similarity_fn_name = similarity_fn_name or settings.similarity_fn_name or "cosine"
        self.label_names = settings.label_names
        self.training_record = settings.training_record
        if self.default_prompt_name is not None and self.default_prompt_name not in self.prompts:
            raise ModelError(f"default prompt {self.default_prompt_name!r} is not among {listed(self.prompts)}")
        self.eval()
        self.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))

    def __getitem__(self, index: int | slice) -> Any:
        """Return a module, or for a slice an `nn.Sequential` of modules."""
        return nn.Sequential(*list(self)[index]) if isinstance(index, slice) else super().__getitem__(index)

    @property
    def transformer(self) -> Transformer:
        """The first module.

        Raises:
            ModelError: the first module is not a `Transformer`.
        """
        first = next(iter(self), None)
        if not isinstance(first, Transformer):
            raise ModelError(f"the first module must be a Transformer, but it is a {type(first).__name__}")
        return first

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of the encoder."""
        return self.transformer.tokenizer

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return next(self.parameters()).device

    @property
    def max_seq_length(self) -> int | None:
        """Maximum number of tokens of a sentence, special tokens included; longer sentences are truncated."""
        return self.transformer.max_seq_length

    @max_seq_length.setter
    def max_seq_length(self, value: int | None) -> None:
        self.transformer.max_seq_length = value

    @property
    def packing(self) -> bool:
        """True if batches are computed without padding, on architectures that can."""
        return self.transformer.packing

    @packing.setter
    def packing(self, value: bool) -> None:
        self.transformer.packing = value

    @property
    def similarity_fn_name(self) -> str:
        """The name of the similarity; setting an unknown name raises a `ModelError` with the names that exist."""
        return self._similarity_fn_name

    @similarity_fn_name.setter
    def similarity_fn_name(self, name: str) -> None:
        self._similarity_fn_name = similarity.check_name(name)

    def get_sentence_embedding_dimension(self) -> int:
        """Return the dimension of an embedding; raise a `ModelError` if a module does not have it."""
        return embedding_dimension(self._modules)

    get_embedding_dimension = get_sentence_embedding_dimension

    def tokenize(self, texts: list[str]) -> Features:
        """Return texts as a padded batch on the CPU: `input_ids` and `attention_mask` `(batch, tokens)`."""
        return self.transformer.tokenize(texts)

    def token_ids(self, texts: list[str]) -> list[list[int]]:
        """Return the token ids of each text, truncated to `max_seq_length`, for `tercet.encoder.packing.pack`."""
        return self.transformer.token_ids(texts)

    def token_counts(self, texts: list[str]) -> list[int]:
        """Return the number of tokens of each text with the default prompt, before truncation."""
        prompt = find_prompt(self.prompts, self.default_prompt_name, None)
        return self.transformer.token_counts([prompt + text for text in texts])

    def forward(self, features: Features) -> Features:
        """Run all modules on a padded or packed batch; they add `sentence_embedding` `(batch, dim)`."""
        for module in self:
            features = module(features)
        return features

    def activation_checkpointing_enable(self, **options: Any) -> None:
        """Save memory in training by computing activations twice; the options are those of `transformers`."""
        self.transformer.auto_model.activation_checkpointing_enable(**options)

    def gradient_checkpointing_enable(self, **options: Any) -> None:
        """Do the same as `activation_checkpointing_enable`, which has this name before transformers 6."""
        self.transformer.auto_model.gradient_checkpointing_enable(**options)

    def add_adapter(self, peft_config: Any, adapter_name: str | None = None) -> None:
        """Train adapters, such as `peft.LoraConfig(r=8)`, instead of all weights; only the adapters are then saved."""
        self.transformer.auto_model.add_adapter(peft_config, adapter_name)

    # The type of the result depends on two arguments, and on whether `sentences` is one string or several.
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
    def encode(self, sentences: str | Sentences, prompt_name: str | None = None, *, convert_to_numpy: bool = True,
               convert_to_tensor: bool = False, **options: Unpack[EncodeOptions]) -> Any: ...
    # fmt: on
    @torch.no_grad()
    def encode(
        self,
        sentences: str | Sentences,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool = False,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        normalize_embeddings: bool = False,
        device: str | torch.device | None = None,
        batch_tokens: int | None = None,
    ) -> Vector | Matrix | Tensor | list[Tensor]:
        """Embed sentences, in their order.

        Args:
            sentences: one string or several.
            prompt_name: a name in `prompts`, whose text is put before every sentence.
            prompt: the text itself, instead of a name.
            batch_size: maximum number of sentences per batch, in addition to `batch_tokens`.
            convert_to_numpy: return a NumPy array. If False, return a tensor per sentence, in a list.
            convert_to_tensor: return one tensor instead.
            normalize_embeddings: scale embeddings to length 1.
            device: move the model to this device first.
            batch_tokens: maximum number of tokens per batch (a longer sentence is a batch by itself); by default
                1,024 on a CPU and 32,768 elsewhere. Less needs less memory.

        Returns:
            `(sentences, dim)` in float32; `(dim,)` for one string.

        Raises:
            EmbeddingError: a sentence is not a string, or a size is below 1.
            ModelError: no prompt has this name.
        """
        texts = [sentences] if isinstance(sentences, str) else list(sentences)
        check_texts(texts, "sentences", allow_empty=True, error=EmbeddingError)
        for name, value in (("batch_size", batch_size), ("batch_tokens", batch_tokens)):
            if value is not None and value < 1:
                raise EmbeddingError(f"{name} must be at least 1, got {value}")
        prompt = find_prompt(self.prompts, prompt_name or self.default_prompt_name, prompt)
        if device is not None:
            self.to(device)
        was_training = self.training
        self.eval()
        try:
            embeddings = embed(self, texts, prompt, batch_tokens, batch_size, show_progress_bar=show_progress_bar)
        finally:
            self.train(was_training)
        if normalize_embeddings:
            embeddings = F.normalize(embeddings, dim=1)
        result = embeddings if convert_to_tensor or not convert_to_numpy else embeddings.float().cpu().numpy()
        if isinstance(sentences, str):
            return result[0]
        return result if convert_to_tensor or convert_to_numpy else list(result)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """Return all similarities by `similarity_fn_name`; larger is more similar: `(n, dim), (m, dim) → (n, m)`."""
        return similarity.matrix(embeddings1, embeddings2, self.similarity_fn_name)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """Return the similarity of each row to the same row: `(n, dim), (n, dim) → (n,)`."""
        return similarity.pairs(embeddings1, embeddings2, self.similarity_fn_name)

    def save_pretrained(self, path: str | Path, *, more_json: dict[str, Any] | None = None) -> None:
        """Write the model directory and its card atomically.

        Args:
            more_json: the content of further JSON files to write into the folder, by file name.

        Raises:
            ModelError: the folder cannot be written, or a module cannot be saved.
        """
        settings = ModelSettings(
            prompts=self.prompts,
            default_prompt_name=self.default_prompt_name,
            similarity_fn_name=self.similarity_fn_name,
            label_names=self.label_names,
            training_record=self.training_record,
        )
        card = model_card(
            settings,
            base_model=self.base_model_name,
            dimension=self.get_sentence_embedding_dimension(),
            max_seq_length=self.max_seq_length,
        )
        save_modules(self, settings, card, Path(path), more_json or {})

    save = save_pretrained

    def push_to_hub(
        self,
        repo_id: str,
        token: str | None = None,
        private: bool | None = None,
        commit_message: str = "Add a model trained with Tercet",
        revision: str | None = None,
        create_pr: bool = False,
    ) -> str:
        """Upload the model directory to the hub and return the address of the commit."""
        commit = {"commit_message": commit_message, "revision": revision, "create_pr": create_pr}
        return upload(self.save_pretrained, repo_id, token=token, private=private, **commit)
