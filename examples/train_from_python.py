"""Train on labelled sentences from Python, measure, and search with the result.

    python examples/train_from_python.py MODEL DATA.csv OUTPUT

MODEL is a folder or a name on the hub; DATA.csv has the columns text and label.
"""

import sys

from datasets import Dataset

from tercet import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments, losses

model_name, data_file, output = sys.argv[1:]
data = Dataset.from_csv(data_file).train_test_split(test_size=0.25, seed=0)
model = SentenceTransformer(model_name)

trainer = SentenceTransformerTrainer(
    model=model,
    args=SentenceTransformerTrainingArguments(
        output_dir=f"{output}.checkpoints",
        num_train_epochs=1,
        per_device_train_batch_size=8,
        batch_sampler="group_by_label",  # P labels × K sentences in every batch
        samples_per_label=2,
        learning_rate=5e-5,
        eval_strategy="epoch",
        eval_on_start=True,
        report_to="none",
    ),
    train_dataset=data["train"],
    eval_dataset=data["test"],  # gives eval_loss, eval_map@r, eval_recall@1, …
    loss=losses.BatchSemiHardTripletLoss(model, margin=0.3),
)
trainer.train()
model.save_pretrained(output)

sentences = data["train"]["text"][:]
scores = model.similarity(model.encode("the team lost"), model.encode(sentences))[0]
print("nearest to 'the team lost':", sentences[int(scores.argmax())])
