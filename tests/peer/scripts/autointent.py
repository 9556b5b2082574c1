"""The fine-tuning of an intent classifier: no duplicates, early stopping, saved without a card."""

from data import ENCODER, labelled
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.losses import BatchAllTripletLoss
from sentence_transformers.training_args import BatchSamplers
from transformers import EarlyStoppingCallback

model = SentenceTransformer(ENCODER, device="cpu", prompts=None, trust_remote_code=False)
args = SentenceTransformerTrainingArguments(
    output_dir="output",
    num_train_epochs=2,
    per_device_train_batch_size=8,
    per_device_eval_batch_size=8,
    learning_rate=5e-5,
    warmup_ratio=0.1,
    fp16=False,
    bf16=False,
    batch_sampler=BatchSamplers.NO_DUPLICATES,
    seed=1,
    save_strategy="epoch",
    save_total_limit=1,
    eval_strategy="epoch",
    logging_strategy="epoch",
    metric_for_best_model="eval_loss",
    load_best_model_at_end=True,
    greater_is_better=False,
)
trainer = SentenceTransformerTrainer(
    model=model, args=args, train_dataset=labelled(), eval_dataset=labelled(), loss=BatchAllTripletLoss(model),
    callbacks=[EarlyStoppingCallback(early_stopping_patience=1)],
)  # fmt: skip
trainer.train()
model.save("output/model", create_model_card=False)
