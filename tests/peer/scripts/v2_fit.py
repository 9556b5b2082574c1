"""Version 2: fit with InputExample and a data loader."""

from data import ENCODER, LABELS, TEXTS
from sentence_transformers import InputExample, SentenceTransformer, losses
from torch.utils.data import DataLoader

model = SentenceTransformer(ENCODER)
train_examples = [InputExample(texts=[text], label=label) for text, label in zip(TEXTS, LABELS, strict=True)]
train_dataloader = DataLoader(train_examples, shuffle=True, batch_size=16)
train_loss = losses.BatchHardSoftMarginTripletLoss(model=model)
model.fit(train_objectives=[(train_dataloader, train_loss)], epochs=1, warmup_steps=1, output_path="output")
assert SentenceTransformer("output").encode(TEXTS[:2]).shape == (2, 32)
