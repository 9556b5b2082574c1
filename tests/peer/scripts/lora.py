"""Training of an adapter."""

from data import ENCODER, TEXTS, labelled
from peft import LoraConfig, TaskType
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, losses

model = SentenceTransformer(ENCODER)
model.add_adapter(LoraConfig(task_type=TaskType.FEATURE_EXTRACTION, r=2, lora_alpha=4, lora_dropout=0.0))
trainer = SentenceTransformerTrainer(model=model, train_dataset=labelled(), loss=losses.BatchAllTripletLoss(model))
trainer.train()
model.save_pretrained("output")
assert SentenceTransformer("output").encode(TEXTS).shape == (16, 32)
