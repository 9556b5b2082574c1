"""The labelled example of sentence-transformers 3 to 5, whose imports have shorter paths."""

import logging

from data import ANCHORS, ENCODER, NEGATIVES, POSITIVES, labelled
from sentence_transformers import LoggingHandler, SentenceTransformer, losses
from sentence_transformers.evaluation import TripletEvaluator
from sentence_transformers.trainer import SentenceTransformerTrainer
from sentence_transformers.training_args import BatchSamplers, SentenceTransformerTrainingArguments

logging.basicConfig(format="%(asctime)s - %(message)s", level=logging.INFO, handlers=[LoggingHandler()])
model = SentenceTransformer(ENCODER)
train_loss = losses.BatchHardTripletLoss(model=model)
dev_evaluator = TripletEvaluator(anchors=ANCHORS, positives=POSITIVES, negatives=NEGATIVES, name="trec-dev")
dev_evaluator(model)
args = SentenceTransformerTrainingArguments(
    output_dir="output",
    num_train_epochs=3,
    per_device_train_batch_size=16,
    warmup_ratio=0.1,
    batch_sampler=BatchSamplers.GROUP_BY_LABEL,
    eval_strategy="steps",
    eval_steps=100,
    save_strategy="steps",
    save_steps=100,
    save_total_limit=2,
    logging_steps=1,
    run_name="bert-trec-batch-hard",
)
trainer = SentenceTransformerTrainer(
    model=model, args=args, train_dataset=labelled(), loss=train_loss, evaluator=dev_evaluator
)
trainer.train()
curve = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
model.save_pretrained("output/final")
