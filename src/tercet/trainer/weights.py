"""Detect weights that a run has left unchanged, without a copy of them."""

import torch
from torch import Tensor, nn


@torch.no_grad()
def fingerprint(model: nn.Module) -> list[float]:
    """Return the sum and the norm of each trainable parameter in float64. They differ if a single bit differs.

    The list is for comparisons within one process. It is empty if the model has no trainable parameter.
    """
    values: list[Tensor] = []
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.is_floating_point():
            dtype = torch.float32 if parameter.device.type == "mps" else torch.float64
            flat = parameter.detach().flatten()
            values += [flat.sum(dtype=dtype), torch.linalg.vector_norm(flat, dtype=dtype)]
    return torch.stack([value.cpu() for value in values]).tolist() if values else []
