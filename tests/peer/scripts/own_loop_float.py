"""A loop of one's own with labels that are whole floating-point numbers."""

import torch
from data import ENCODER, LABELS, TEXTS
from sentence_transformers import SentenceTransformer, losses

model = SentenceTransformer(ENCODER, device="cpu")
loss_function = losses.BatchHardTripletLoss(model=model)
loss = loss_function([model.tokenize(TEXTS)], torch.tensor(LABELS, dtype=torch.float))
loss.backward()
curve = [loss.item()]
