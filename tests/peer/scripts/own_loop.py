"""A training loop of one's own: tokenize, the loss of features and labels, backward."""

import torch
from data import ENCODER, LABELS, TEXTS
from sentence_transformers import SentenceTransformer, losses
from sentence_transformers.util import batch_to_device

model = SentenceTransformer(ENCODER, device="cpu")
loss_function = losses.BatchAllTripletLoss(model, margin=1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
model.train()
curve = []
for _ in range(3):
    features = batch_to_device(model.tokenize(TEXTS), model.device)
    loss = loss_function([features], torch.tensor(LABELS))
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    curve.append(loss.item())
