"""Evaluate a model during its training: the loss of evaluation batches, and the metrics of evaluators."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers.trainer_utils import EvalLoopOutput, denumpify_detensorize

from tercet._distributed import is_first_process
from tercet.errors import DataError
from tercet.evaluation import LabelEvaluator, TripletEvaluator
from tercet.evaluation.sentence_evaluator import warn_of_replaced
from tercet.trainer.data_sets.prepared_sets import check_set_name
from tercet.trainer.evaluation.distributed_encoder import DistributedEncoder
from tercet.trainer.loss.kinds import loss_of_set
from tercet.trainer.loss.multi_labels import label_ids_or_sets
from tercet.trainer.steps.sharded_training import ShardedTrainer
from tercet.trainer.steps.sharding import gathered_model

Evaluator = Callable[..., dict[str, float]]


class EvaluatingTrainer(ShardedTrainer):
    """The part of `SentenceTransformerTrainer` that evaluates."""

    evaluators: list[Evaluator]
    _replaced_metrics: set[str]

    def prediction_step(
        self, model: nn.Module, inputs: dict[str, Any], prediction_loss_only: bool, ignore_keys: list[str] | None = None
    ) -> tuple[Tensor, None, None]:
        """Return the loss of an evaluation batch, and None for logits and labels: the evaluators do not need them."""
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            loss = self.compute_loss(model, inputs)
        return loss.detach(), None, None

    def evaluate(self, eval_dataset: Any = None, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Evaluate as in `transformers.Trainer.evaluate`.

        Args:
            eval_dataset: a data set, a dictionary of several, or the name of one of those of the trainer; by default
                those of the trainer. Columns and labels are found as in those of the trainer.
            args: further arguments of `transformers.Trainer.evaluate`.
            kwargs: further arguments of `transformers.Trainer.evaluate`, by name.

        Raises:
            DataError: the trainer has no evaluation data, or none of this name.
        """
        if isinstance(eval_dataset, str):
            check_set_name(eval_dataset, self.eval_dataset)
        elif eval_dataset is None and self.eval_dataset is None:
            raise DataError("there is nothing to evaluate; pass eval_dataset here or to the trainer, or an evaluator")
        if eval_dataset is not None and not isinstance(eval_dataset, str):
            eval_dataset = self._prepare_all(eval_dataset, "eval_dataset")
        try:
            return super().evaluate(eval_dataset, *args, **kwargs)
        finally:  # Keep no data set alive.
            self.callback_handler.eval_dataloader = None

    def predict(self, test_dataset: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the loss and the metrics of a data set as `transformers.Trainer.predict` does, without predictions.

        Args:
            test_dataset: a data set. Columns and labels are found as in those of the trainer.
            args: further arguments of `transformers.Trainer.predict`.
            kwargs: further arguments of `transformers.Trainer.predict`, by name.

        Raises:
            DataError: there is no data set.
        """
        if test_dataset is None:
            raise DataError("there is no data set to predict; pass test_dataset")
        try:
            return super().predict(test_dataset, *args, **kwargs)
        finally:
            self.callback_handler.eval_dataloader = None

    def evaluation_loop(
        self,
        dataloader: Any,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """Compute the loss over the batches, then run the evaluators. Prefix all metrics with `metric_key_prefix`."""
        # Restore the random state after the evaluation: its data loader draws a random seed, which would change the
        # dropout of all later training steps.
        cuda = [self.args.device] if self.args.device.type == "cuda" else []
        # The processes may have different numbers of batches, so a sharded model is gathered.
        with torch.random.fork_rng(cuda), gathered_model(self.model):
            output = super().evaluation_loop(
                dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix
            )
            assert output.metrics is not None
            rows = dataloader.dataset
            name = getattr(rows, "name", None)
            results: dict[str, float] = {}
            for evaluator in self.evaluators or self._default_evaluators(getattr(rows, "prepared", rows)):
                metrics = self._run_evaluator(evaluator, name)
                warn_of_replaced(results, metrics, self._replaced_metrics)
                results |= metrics
            output.metrics.update({f"{metric_key_prefix}_{key}": value for key, value in results.items()})
        return output

    def _run_evaluator(self, evaluator: Evaluator, name: str | None) -> dict[str, float]:
        metrics = evaluator(self._encoder_for(evaluator, name))
        if metrics is None and is_first_process():  # In other processes, an evaluator may return nothing.
            kind = getattr(evaluator, "__qualname__", type(evaluator).__name__)
            raise DataError(f"the evaluator {kind} must return a number or a dictionary of numbers, but returned None")
        metrics = metrics if isinstance(metrics, dict) else {"evaluator": metrics}
        values: dict[str, float] = denumpify_detensorize(metrics)
        return values

    def _encoder_for(self, evaluator: Evaluator, name: str | None) -> Any:
        """Return the model for an evaluator.

        The evaluators of Tercet use all processes, and the prompts and the tasks of the training.
        """
        if not isinstance(evaluator, (LabelEvaluator, TripletEvaluator)):
            return self.model
        return self.encoder(name, triplets=isinstance(evaluator, TripletEvaluator))

    def encoder(self, name: str | None, *, triplets: bool = False) -> DistributedEncoder:
        """Return an encoder over all processes, with the prompts and the tasks of the training.

        Args:
            name: the name of the data set among several, else None.
            triplets: whether it encodes as many anchors as positives and negatives, one after the other.
        """
        prompts, tasks = self._prompts_of(name) if self.args.prompts is not None else {}, self._tasks_of(name)
        columns = [
            {**({"prompt": prompts[role]} if prompts else {}), **({"task": tasks[role]} if tasks else {})}
            for role in prompts or tasks
        ]
        if any(one != columns[0] for one in columns) and not triplets:
            columns = []  # The prompts and tasks of triplet columns say nothing about labelled sentences.
        return DistributedEncoder(self.model, columns)

    def _default_evaluators(self, dataset: Any) -> list[Evaluator]:
        if len(dataset) < 2:
            return []
        plain = dataset.with_format(None)
        if "anchor" in plain.column_names:
            return [TripletEvaluator(*(plain[name][:] for name in ("anchor", "positive", "negative")))]
        loss = loss_of_set(self.loss, self._prepared_sets[dataset].name)
        return [LabelEvaluator(plain["sentence"][:], label_ids_or_sets(loss, plain["label"][:]))]

    def _protocol(self) -> str:
        """Return the protocol of the evaluators, a key of `tercet.catalogue.PROTOCOLS`."""
        if not self.evaluators:
            return TripletEvaluator.protocol if self.takes_triplets else "among_themselves"
        protocols = {getattr(evaluator, "protocol", "evaluators") for evaluator in self.evaluators}
        return protocols.pop() if len(protocols) == 1 else "evaluators"
