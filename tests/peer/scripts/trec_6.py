"""The labelled example of sentence-transformers 6 (training_batch_hard_trec), with 16 sentences."""

import logging

from data import ANCHORS, ENCODER, NEGATIVES, POSITIVES, labelled
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.sampler import BatchSamplers
from sentence_transformers.sentence_transformer.evaluation import TripletEvaluator
from sentence_transformers.sentence_transformer.losses import BatchAllTripletLoss
from sentence_transformers.sentence_transformer.trainer import SentenceTransformerTrainer
from sentence_transformers.sentence_transformer.training_args import SentenceTransformerTrainingArguments

model = SentenceTransformer(ENCODER, model_kwargs={"torch_dtype": "float32"})
train_loss = BatchAllTripletLoss(model=model)
dev_evaluator = TripletEvaluator(anchors=ANCHORS, positives=POSITIVES, negatives=NEGATIVES, name="trec_dev")
logging.info("Performance before fine-tuning:")
model.evaluate(dev_evaluator)
args = SentenceTransformerTrainingArguments(
    output_dir="output",
    num_train_epochs=3,
    per_device_train_batch_size=16,
    per_device_eval_batch_size=16,
    warmup_ratio=0.1,
    batch_sampler=BatchSamplers.GROUP_BY_LABEL,
    eval_strategy="steps",
    eval_steps=0.2,
    save_strategy="steps",
    save_steps=0.2,
    logging_steps=0.1,
)
trainer = SentenceTransformerTrainer(
    model=model, args=args, train_dataset=labelled(), loss=train_loss, evaluator=dev_evaluator
)
trainer.train()
curve = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
test_evaluator = TripletEvaluator(anchors=ANCHORS, positives=POSITIVES, negatives=NEGATIVES, name="trec-test")
model.evaluate(test_evaluator)
model.save_pretrained("output/final")
