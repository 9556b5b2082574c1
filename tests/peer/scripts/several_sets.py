"""Several data sets, with a loss for each."""

from data import ENCODER, labelled, triplets
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.losses import BatchAllTripletLoss, TripletLoss
from sentence_transformers.training_args import MultiDatasetBatchSamplers

model = SentenceTransformer(ENCODER)
args = SentenceTransformerTrainingArguments(
    output_dir="output", num_train_epochs=1, per_device_train_batch_size=8,
    multi_dataset_batch_sampler=MultiDatasetBatchSamplers.ROUND_ROBIN,
)  # fmt: skip
trainer = SentenceTransformerTrainer(
    model=model,
    args=args,
    train_dataset={"labels": labelled(), "triplets": triplets()},
    eval_dataset={"labels": labelled(), "triplets": triplets()},
    loss={"labels": BatchAllTripletLoss(model), "triplets": TripletLoss(model)},
)
trainer.train()
trainer.evaluate()
