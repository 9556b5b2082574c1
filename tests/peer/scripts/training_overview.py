"""The script of the training overview in the docs of sentence-transformers, with TripletLoss."""

from data import ANCHORS, ENCODER, NEGATIVES, POSITIVES, triplets
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerModelCardData,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.base.sampler import BatchSamplers
from sentence_transformers.sentence_transformer.evaluation import TripletEvaluator
from sentence_transformers.sentence_transformer.losses import TripletLoss

model = SentenceTransformer(
    ENCODER,
    model_card_data=SentenceTransformerModelCardData(
        language="en", license="apache-2.0", model_name="MPNet base trained on AllNLI triplets"
    ),
)
loss = TripletLoss(model)
args = SentenceTransformerTrainingArguments(
    output_dir="models/mpnet-base-all-nli-triplet",
    num_train_epochs=1,
    per_device_train_batch_size=16,
    per_device_eval_batch_size=16,
    learning_rate=2e-5,
    warmup_steps=0.1,
    fp16=False,
    bf16=False,
    batch_sampler=BatchSamplers.BATCH_SAMPLER,
    eval_strategy="steps",
    eval_steps=100,
    save_strategy="steps",
    save_steps=100,
    save_total_limit=2,
    logging_steps=100,
    run_name="mpnet-base-all-nli-triplet",
)
dev_evaluator = TripletEvaluator(anchors=ANCHORS, positives=POSITIVES, negatives=NEGATIVES, name="all-nli-dev")
dev_evaluator(model)
trainer = SentenceTransformerTrainer(
    model=model, args=args, train_dataset=triplets(), eval_dataset=triplets(), loss=loss, evaluator=dev_evaluator
)
trainer.train()
dev_evaluator(model)
model.save_pretrained("models/final")
