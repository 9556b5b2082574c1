"""Pushing models from the trainer: whole model folders with a card."""

import subprocess
import sys

import pytest

from tercet.errors import DataError
from tests.child import ENVIRONMENT
from tests.hub_server import running_hub
from tests.trainer.helpers import make_trainer

CODE = """
import sys
from datasets import Dataset
from tercet import SentenceTransformer
from tests.trainer.helpers import make_trainer

encoder, folder = sys.argv[1:]
texts = ["the team won", "the team lost", "the soup is hot", "the soup is fresh", "the bus is late", "the bus left"]
data = Dataset.from_dict({"text": texts, "label": [0, 0, 1, 1, 2, 2]})
changes = {
    "max_steps": 2, "save_strategy": "steps", "save_steps": 1, "push_to_hub": True, "hub_model_id": "me/tiny",
    "hub_token": "hf_x", "hub_strategy": "all_checkpoints", "hub_always_push": True,
    "per_device_train_batch_size": 6,
}
trainer = make_trainer(encoder, folder, data, changes=changes)
trainer.train()
print(trainer.push_to_hub().commit_url)
"""


@pytest.mark.slow
def test_a_trainer_pushes_the_whole_model(bert, tmp_path):
    """Run the real client against a small server, in a subprocess, because it reads the address when imported."""
    with running_hub() as hub:
        environment = {
            **ENVIRONMENT,
            "HF_ENDPOINT": hub.address,
            "HF_HUB_OFFLINE": "0",
            "HF_HOME": str(tmp_path / "home"),
        }
        done = subprocess.run(
            [sys.executable, "-c", CODE, str(bert), str(tmp_path / "run")], env=environment, capture_output=True,
            text=True, timeout=120, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip().endswith("/me/tiny/commit/1")
    model = {"modules.json", "model.safetensors", "1_Pooling/config.json", "README.md", "tokenizer.json", "tercet.json"}
    assert model <= set(hub.files)
    assert {f"checkpoint-{step}/{name}" for step in (1, 2) for name in (*model, "optimizer.pt")} <= set(hub.files)
    assert b"BatchSemiHardTripletLoss" in hub.files["README.md"]
    assert not [name for name in hub.files if "unfinished" in name]


def test_the_trainer_writes_the_card_of_its_model(bert, labelled, tmp_path, caplog):
    trainer = make_trainer(bert, tmp_path / "run", labelled, changes={"max_steps": 1})
    trainer.train()
    trainer.create_model_card(model_name="mine")
    assert "BatchSemiHardTripletLoss" in (tmp_path / "run/README.md").read_text()
    with pytest.raises(DataError, match="the model card takes no 'language'; write them into README.md"):
        trainer.create_model_card(language="de")
    (tmp_path / "run/README.md").write_text("my own text")
    trainer.create_model_card()
    assert (tmp_path / "run/README.md").read_text() == "my own text"
    assert "is not a generated model card, so it is kept" in caplog.text
