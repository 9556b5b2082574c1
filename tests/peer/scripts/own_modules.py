"""A model of modules: an encoder, a pooling, and a dense layer."""

from data import ENCODER, TEXTS, labelled
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, losses, models
from torch import nn

word_embedding_model = models.Transformer(ENCODER, max_seq_length=32)
pooling_model = models.Pooling(word_embedding_model.get_word_embedding_dimension(), pooling_mode="mean")
dense_model = models.Dense(
    in_features=pooling_model.get_sentence_embedding_dimension(), out_features=8, activation_function=nn.Tanh()
)
model = SentenceTransformer(modules=[word_embedding_model, pooling_model, dense_model])
trainer = SentenceTransformerTrainer(model=model, train_dataset=labelled(), loss=losses.BatchAllTripletLoss(model))
trainer.train()
model.save("output")
assert SentenceTransformer("output").encode(TEXTS).shape == (16, 8)
