"""Version 2: fit with triplets and an evaluator."""

from data import ANCHORS, ENCODER, NEGATIVES, POSITIVES
from sentence_transformers import InputExample, SentenceTransformer, losses
from sentence_transformers.evaluation import TripletEvaluator
from torch.utils.data import DataLoader

model = SentenceTransformer(ENCODER)
rows = list(zip(ANCHORS, POSITIVES, NEGATIVES, strict=True))
train_dataloader = DataLoader([InputExample(texts=list(row)) for row in rows], shuffle=True, batch_size=8)
train_loss = losses.TripletLoss(model=model, distance_metric=losses.TripletDistanceMetric.COSINE, triplet_margin=0.5)
evaluator = TripletEvaluator(ANCHORS, POSITIVES, NEGATIVES, name="dev")
model.fit(
    train_objectives=[(train_dataloader, train_loss)],
    evaluator=evaluator,
    epochs=2,
    evaluation_steps=2,
    warmup_steps=1,
    output_path="output",
    show_progress_bar=False,
)
