"""A wrong argument of a trainer or of a run is refused in one sentence, before the first step."""

import pytest
from transformers import EarlyStoppingCallback

from tercet import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments, losses
from tercet.errors import DataError
from tests.trainer.helpers import make_arguments, make_trainer


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataloader_num_workers": -1}, "dataloader_num_workers must be at least 0, got -1"),
        ({"dataloader_num_workers": 1.5}, "dataloader_num_workers must be a whole number, got 1.5"),
        ({"dataloader_num_workers": "two"}, "dataloader_num_workers must be a number, got 'two'"),
        ({"dataloader_num_workers": 1, "dataloader_prefetch_factor": 0}, "dataloader_prefetch_factor must be at least"),
        ({"dataloader_persistent_workers": True}, "dataloader_persistent_workers=True needs workers"),
        ({"dataloader_multiprocessing_context": "spawn"}, "dataloader_multiprocessing_context='spawn' needs workers"),
        (
            {"dataloader_num_workers": 1, "dataloader_multiprocessing_context": "thread"},
            "unknown dataloader_multiprocessing_context 'thread'; choose from ",
        ),
        ({"save_total_limit": -1}, "save_total_limit must be at least 0, got -1"),
        ({"save_total_limit": "two"}, "save_total_limit must be a number, got 'two'"),
        ({"save_steps": -1}, "save_steps must be at least 0, got -1"),
        ({"eval_steps": "two"}, "eval_steps must be a number, got 'two'"),
        ({"eval_delay": "two"}, "eval_delay must be a number, got 'two'"),
        ({"warmup_steps": "two"}, "warmup_steps must be a number, got 'two'"),
        ({"ddp_timeout": "long"}, "ddp_timeout must be a number, got 'long'"),
        ({"bf16": "False"}, "bf16 must be True or False, got 'False'"),
        ({"greater_is_better": "False"}, "greater_is_better must be True or False, got 'False'"),
        ({"log_level": "loud"}, "unknown log_level 'loud'; choose from "),
        ({"lr_scheduler_kwargs": 3}, "lr_scheduler_kwargs must be a dictionary, got 3"),
        ({"lr_scheduler_kwargs": "power"}, "lr_scheduler_kwargs must be a dictionary, got 'power'"),
        ({"accelerator_config": 3}, "accelerator_config must be a dictionary, got 3"),
        ({"optim_args": 3}, "optim_args must be a string, got 3"),
        ({"metric_for_best_model": 3}, "metric_for_best_model must be a string, got 3"),
        ({"resume_from_checkpoint": 3}, "resume_from_checkpoint must be a string or a pathlib.Path, got 3"),
        ({"prompts": 3}, "prompts must be a string or a dictionary, got 3"),
        ({"report_to": "my_tracker"}, "invalid training argument: my_tracker is not supported"),
    ],
)
def test_arguments_of_a_run(changes, message, tmp_path):
    with pytest.raises(DataError, match=message):
        make_arguments(tmp_path, **changes)


def test_the_file_of_an_accelerator_config_is_a_path(tmp_path):
    (tmp_path / "a.json").write_text('{"even_batches": false}')
    for path in (tmp_path / "a.json", str(tmp_path / "a.json")):
        assert not make_arguments(tmp_path, accelerator_config=path).accelerator_config.even_batches


def test_the_output_folder_is_a_path():
    with pytest.raises(DataError, match="output_dir must be a string or a pathlib.Path, got 3"):
        SentenceTransformerTrainingArguments(3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"callbacks": 3}, "callbacks must be a list of TrainerCallback objects, got 3"),
        ({"callbacks": ["early"]}, "callbacks must be a list of TrainerCallback objects, got \\['early'\\]"),
        ({"callbacks": EarlyStoppingCallback()}, "callbacks must be a list of TrainerCallback objects, got <"),
        ({"optimizers": None}, "optimizers must be a pair of an optimizer and a learning rate scheduler"),
        ({"optimizers": (3, None)}, "optimizers must be a pair of an optimizer and a learning rate scheduler"),
        ({"optimizer_cls_and_kwargs": 3}, "optimizer_cls_and_kwargs must be a pair of a class and a dictionary"),
        ({"data_collator": 3}, "data_collator must be a function, got 3"),
    ],
)
def test_arguments_of_a_trainer(options, message, bert, labelled, tmp_path):
    with pytest.raises(DataError, match=message):
        make_trainer(bert, tmp_path, labelled, **options)


def test_model_init_is_a_function(labelled, tmp_path):
    with pytest.raises(DataError, match="model_init must be a function, got 3"):
        SentenceTransformerTrainer(
            None, make_arguments(tmp_path), labelled, loss=losses.BatchAllTripletLoss(), model_init=3
        )


def test_arguments_of_methods(bert, labelled, tmp_path):
    trainer = make_trainer(bert, tmp_path, labelled, eval_dataset=labelled)
    with pytest.raises(DataError, match="no evaluation set 'a': its evaluation data have no names; pass a data set"):
        trainer.evaluate("a")
    with pytest.raises(DataError, match="there is no data set to predict; pass test_dataset"):
        trainer.predict(None)
    with pytest.raises(DataError, match="resume_from_checkpoint must be a string or a pathlib.Path, got 3"):
        trainer.train(resume_from_checkpoint=3)
    with pytest.raises(DataError, match="a path must be a string or a pathlib.Path, got 3"):
        trainer.save_model(3)
    several = make_trainer(bert, tmp_path, labelled, eval_dataset={"b": labelled})
    with pytest.raises(DataError, match="no evaluation set 'a': its evaluation sets are 'b'; pass a data set"):
        several.evaluate("a")
    with pytest.raises(DataError, match="no evaluation set 'a'"):
        several.get_eval_dataloader("a")
    assert several.evaluate("b").keys() >= {"eval_loss"}
    with pytest.raises(DataError, match="there is nothing to evaluate; pass eval_dataset here or to the trainer"):
        make_trainer(bert, tmp_path, labelled).evaluate()


def test_a_relative_path_is_still_the_output(bert, labelled, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_trainer(bert, "out", labelled).save_model()
    assert SentenceTransformer("out", device="cpu").encode(["a goal"]).shape == (1, 32)
