"""The part of `SentenceTransformer` that writes the model to a folder and to the hub."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from tercet._files import as_path
from tercet.encoder.card import model_card
from tercet.encoder.card_data import ModelCardData
from tercet.encoder.encoding_model import EncodingModel
from tercet.encoder.hub import upload
from tercet.encoder.storage import ModelSettings, save_modules
from tercet.encoder.weight_sample import weight_sample, weights_changed
from tercet.errors import ModelError
from tercet.records import TrainingRecord


class SavedModel(EncodingModel):
    """The part of `SentenceTransformer` that writes the model to a folder and to the hub."""

    label_names: list[str] | None
    training_record: TrainingRecord | None
    base_model_name: str | None
    model_card_data: ModelCardData
    _known_weights: dict[str, Tensor] | None

    def remember_weights(self) -> None:
        """Say that the training record describes the present weights, as the trainer does after a training."""
        self._known_weights = weight_sample(self)

    @property
    def weights_are_known(self) -> bool:
        """True if the weights are those that were loaded, or those that the training record describes.

        They are not if a training loop of your own has changed them. Then nothing is known of its texts.
        """
        return self._known_weights is not None and not weights_changed(self, self._known_weights)

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
                `Transformer`, the modules do not state the dimension of an embedding, `safe_serialization` is False, or
                a training with `fsdp` has the model sharded.
        """
        if not safe_serialization:
            raise ModelError("safe_serialization=False would write pickle files, which run code when they are read; "
                             "weights are written as safetensors only")  # fmt: skip
        if "_sharding" in vars(self):  # The trainer sets it with fsdp=True.
            raise ModelError(
                "the model is sharded over the processes of a training, so none of them can save it; in a callback, "
                "call trainer.save_model() in all processes; after a failed training, start new processes"
            )
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
            max_seq_length=self.input_module.max_seq_length,
        )
        save_modules(
            self.named_children(),
            settings,
            card if create_model_card else None,
            as_path(path),
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
            save if local_model_path is None else as_path(local_model_path),
            repo_id,
            token=token,
            private=private,
            exist_ok=exist_ok or create_pr,
            replace_card=replace_model_card,
            revision=revision,
            create_pr=create_pr,
            commit_message=commit_message,
        )
