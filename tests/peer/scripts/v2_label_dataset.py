"""Version 2: fit with SentenceLabelDataset, and an evaluator from examples."""

from data import ANCHORS, ENCODER, LABELS, NEGATIVES, POSITIVES, TEXTS
from sentence_transformers import SentenceTransformer, losses
from sentence_transformers.datasets import SentenceLabelDataset
from sentence_transformers.evaluation import TripletEvaluator
from sentence_transformers.readers import InputExample
from torch.utils.data import DataLoader

model = SentenceTransformer(ENCODER)
examples = [InputExample(texts=[text], label=label) for text, label in zip(TEXTS, LABELS, strict=True)]
train_dataloader = DataLoader(SentenceLabelDataset(examples, samples_per_label=2), batch_size=8, drop_last=True)
rows = list(zip(ANCHORS, POSITIVES, NEGATIVES, strict=True))
dev_evaluator = TripletEvaluator.from_input_examples([InputExample(texts=list(row)) for row in rows], name="dev")
model.fit(
    train_objectives=[(train_dataloader, losses.BatchAllTripletLoss(model=model))],
    evaluator=dev_evaluator,
    epochs=1,
    evaluation_steps=1000,
    warmup_steps=1,
    output_path="output",
)
dev_evaluator(model, output_path=None)
