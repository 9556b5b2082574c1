"""The sentence-embedding model: sentences in, one vector each out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tercet._texts import check_texts
from tercet.encoder import similarity
from tercet.encoder.card import model_card
from tercet.encoder.encode import embed
from tercet.encoder.modules.pooling import Dense, Pooling
from tercet.encoder.modules.transformer import Transformer
from tercet.encoder.packing.packing import Features
from tercet.encoder.storage import ModelSettings, load_modules, save_modules
from tercet.errors import EmbeddingError, ModelError, listed


class SentenceTransformer(nn.Module):
    """A transformer encoder with pooling, read from and written to sentence-transformers directories.

    Args:
        model_name_or_path: a plain Hugging Face encoder (mean pooling is added) or a saved model; a
            folder or a name on the hub.
        modules: the modules themselves, in place of a name.
        device: where to run; by default a GPU if there is one.
        prompts: texts that go before every sentence, by name; `default_prompt_name` is used unasked.
        similarity_fn_name: one of `tercet.encoder.similarity.NAMES`; by default cosine.
        packing: lay the sentences of a batch end to end, without padding, where the architecture can
            (see `tercet.encoder.packing.architectures`), which is the default; False pads batches.
        trust_remote_code: whether to run Python code that comes with the model.
        hub: `revision`, `token`, `cache_folder`, `model_kwargs`, `tokenizer_kwargs`, `config_kwargs`.

    Raises:
        ModelError: the model is missing, broken, or has a module that is not supported.
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
        super().__init__()
        unknown = set(hub) - {
            "revision", "token", "cache_folder", "model_kwargs", "tokenizer_kwargs", "config_kwargs"
        }  # fmt: skip
        if unknown:
            raise TypeError(f"SentenceTransformer has no argument {listed(sorted(unknown))}")
        if modules is not None:
            loaded, settings = list(modules), ModelSettings()
        elif model_name_or_path is not None:
            loaded, settings = load_modules(str(model_name_or_path), trust_remote_code=trust_remote_code, **hub)
        else:
            raise ModelError("name a model (a folder or a name on the hub), or pass modules")
        self.parts = nn.ModuleList(loaded)
        if packing is not None:
            self.packing = packing
        self.base_model_name = None if model_name_or_path is None else _public_name(str(model_name_or_path))
        self.trust_remote_code = trust_remote_code
        self.prompts = {**settings.prompts, **(prompts or {})}
        self.default_prompt_name = default_prompt_name or settings.default_prompt_name
        self.similarity_fn_name = similarity_fn_name or settings.similarity_fn_name or "cosine"
        self.label_names = settings.label_names
        self.training_record = settings.training
        if self.default_prompt_name is not None and self.default_prompt_name not in self.prompts:
            raise ModelError(f"default prompt {self.default_prompt_name!r} is not among {listed(self.prompts)}")
        if self.similarity_fn_name not in similarity.NAMES:
            raise ModelError(f"similarity {self.similarity_fn_name!r} is not one of {listed(similarity.NAMES)}")
        self.eval()
        self.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))

    @property
    def transformer(self) -> Transformer:
        """The first module."""
        first = self.parts[0]
        assert isinstance(first, Transformer)
        return first

    @property
    def tokenizer(self) -> Any:
        return self.transformer.tokenizer

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def max_seq_length(self) -> int | None:
        """The most tokens of a sentence that count, special ones included."""
        return self.transformer.max_seq_length

    @max_seq_length.setter
    def max_seq_length(self, value: int | None) -> None:
        self.transformer.max_seq_length = value

    @property
    def packing(self) -> bool:
        """Whether batches are computed without padding where the architecture can."""
        return self.transformer.packing

    @packing.setter
    def packing(self, value: bool) -> None:
        self.transformer.packing = value

    def get_sentence_embedding_dimension(self) -> int:
        """The dimension of an embedding."""
        for part in reversed(self.parts):
            if isinstance(part, (Pooling, Dense)):
                return part.output_size
        raise ModelError("this model has no pooling, so it gives no sentence embedding")

    get_embedding_dimension = get_sentence_embedding_dimension

    def tokenize(self, texts: list[str]) -> Features:
        """Texts → `input_ids` and `attention_mask` `(batch, tokens)` on the CPU."""
        return self.transformer.tokenize(texts)

    def token_ids(self, texts: list[str]) -> list[list[int]]:
        """Texts → the token ids of each, cut to `max_seq_length`, as `tercet.encoder.packing.packing.pack` takes them."""
        return self.transformer.token_ids(texts)

    def token_counts(self, texts: list[str]) -> list[int]:
        """How many tokens each text has with the default prompt, special ones included, before it is cut."""
        prefix = self._prompt(None, None)
        return self.transformer.token_counts([prefix + text for text in texts])

    def forward(self, features: Features) -> Features:
        """Run all modules; the result holds `sentence_embedding` `(batch, dim)`."""
        for part in self.parts:
            features = part(features)
        return features

    def activation_checkpointing_enable(self, **options: Any) -> None:
        """Save memory in training by computing activations twice; the options are those of `transformers`."""
        self.transformer.auto_model.activation_checkpointing_enable(**options)

    def add_adapter(self, peft_config: Any, adapter_name: str | None = None) -> None:
        """Train adapters (`peft.LoraConfig`) in place of all weights; saving then writes the adapters alone."""
        self.transformer.auto_model.add_adapter(peft_config, adapter_name)

    def gradient_checkpointing_enable(self, **options: Any) -> None:
        """`activation_checkpointing_enable` by the name that it has before transformers 6."""
        self.transformer.auto_model.gradient_checkpointing_enable(**options)

    @torch.no_grad()
    def encode(
        self,
        sentences: str | Sequence[str],
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool = False,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        normalize_embeddings: bool = False,
        device: str | torch.device | None = None,
        batch_tokens: int | None = None,
    ) -> np.ndarray | Tensor | list[Tensor]:
        """Embed sentences, in the order given.

        Args:
            prompt_name: a name in `prompts` whose text goes before every sentence.
            prompt: the text itself, in place of a name.
            batch_size: the most sentences at a time, besides `batch_tokens`.
            convert_to_tensor: return one tensor, in place of a NumPy array.
            convert_to_numpy: if neither is asked for, return a list of tensors.
            normalize_embeddings: scale embeddings to length 1.
            batch_tokens: the most tokens at a time (a longer sentence goes alone); by default 1,024 on a CPU
                and 32,768 elsewhere. Less takes less memory.

        Returns:
            `(sentences, dim)` float32, or `(dim,)` for a single string.
        """
        if isinstance(sentences, str):
            kept = {"convert_to_numpy": convert_to_numpy, "convert_to_tensor": convert_to_tensor}
            options = {
                "normalize_embeddings": normalize_embeddings,
                "device": device,
                "batch_tokens": batch_tokens,
                **kept,
            }
            return self.encode([sentences], prompt_name, prompt, batch_size, show_progress_bar, **options)[0]  # type: ignore[arg-type]
        texts = list(sentences)
        check_texts(texts, "sentences", allow_empty=True, error=EmbeddingError)
        for name, value in (("batch_size", batch_size), ("batch_tokens", batch_tokens)):
            if value is not None and value < 1:
                raise EmbeddingError(f"{name} must be at least 1, got {value}")
        prefix = self._prompt(prompt_name, prompt)
        if device is not None:
            self.to(device)
        was_training = self.training
        self.eval()
        try:
            prompt_length = self._prompt_length(prefix) if prefix else 0
            embeddings = embed(
                self, texts, prefix, prompt_length, batch_tokens, most=batch_size, show_progress_bar=show_progress_bar
            )
        finally:
            self.train(was_training)
        if normalize_embeddings:
            embeddings = F.normalize(embeddings, dim=1)
        if convert_to_tensor:
            return embeddings
        if convert_to_numpy:
            return embeddings.float().cpu().numpy()
        return list(embeddings)

    def _prompt(self, name: str | None, text: str | None) -> str:
        if text is not None:
            return text
        name = name or self.default_prompt_name
        if name is None:
            return ""
        if name not in self.prompts:
            raise ModelError(f"no prompt named {name!r}; this model has {listed(self.prompts) or 'none'}")
        return self.prompts[name]

    def _prompt_length(self, prefix: str) -> int:
        """The tokens of a prompt, its leading special tokens included and the trailing one not."""
        ids = self.tokenize([prefix])["input_ids"][0].tolist()
        return len(ids) - (ids[-1] in self.tokenizer.all_special_ids)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """All similarities by `similarity_fn_name`; larger is closer: `(n, dim), (m, dim) → (n, m)`."""
        return similarity.matrix(embeddings1, embeddings2, self.similarity_fn_name)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """The similarity of each row to the same row: `(n, dim), (n, dim) → (n,)`."""
        return similarity.pairs(embeddings1, embeddings2, self.similarity_fn_name)

    def save_pretrained(self, path: str | Path, *, more_json: dict[str, Any] | None = None) -> None:
        """Write the model directory, card included; it is whole or absent at every moment.

        Args:
            more_json: other files to write with it, by name.

        Raises:
            ModelError: the folder cannot be written.
        """
        settings = ModelSettings(
            prompts=self.prompts,
            default_prompt_name=self.default_prompt_name,
            similarity_fn_name=self.similarity_fn_name,
            label_names=self.label_names,
            training=self.training_record,
        )
        card = model_card(
            base_model=self.base_model_name,
            dimension=self.get_sentence_embedding_dimension(),
            max_seq_length=self.max_seq_length,
            similarity=self.similarity_fn_name,
            label_names=self.label_names,
            training=self.training_record,
        )
        save_modules(list(self.parts), settings, card, Path(path), more_json or {})

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
        import tempfile

        from huggingface_hub import HfApi

        api = HfApi(token=token)
        repo = api.create_repo(repo_id, private=private, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(Path(folder) / "model")
            commit = api.upload_folder(
                repo_id=repo.repo_id,
                folder_path=Path(folder) / "model",
                commit_message=commit_message,
                revision=revision,
                create_pr=create_pr,
            )
        return str(commit.commit_url)


def _public_name(name_or_path: str) -> str:
    """A name on the hub as it is; of a folder its last part, since the rest tells about a machine."""
    path = Path(name_or_path).expanduser()
    return path.resolve().name if path.is_dir() else name_or_path
