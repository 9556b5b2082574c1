"""Encode in several processes, each with a copy of the model on a device of its own."""

import math
import queue
import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import torch
import torch.multiprocessing as mp
from torch import Tensor
from tqdm.auto import tqdm

from tercet.encoder.devices import find_device
from tercet.encoder.encode import encode_texts
from tercet.encoder.encode_arguments import EncodeRequest, check_count
from tercet.errors import EmbeddingError, short_repr

Pool = dict[str, Any]

# Chunks are small enough to share the work evenly, and large enough to pass few messages.
_CHUNKS_PER_PROCESS, _MAX_CHUNK = 10, 5000
_DEFAULT_CPU_PROCESSES = 4
# The keys of a pool; see `start_pool`.
_KEYS = frozenset({"input", "output", "processes", "lock", "call"})
# Seconds between two looks at whether the processes are alive.
_POLL = 1.0


def start_pool(model: Any, devices: Sequence[str | torch.device] | None = None) -> Pool:
    """Start a process per device with a copy of the model, which is moved to the CPU.

    Args:
        model: a `SentenceTransformer`.
        devices: for example ["cuda:0", "cuda:1"], or ["cpu"] * 4. By default all CUDA devices, else four processes on
            the CPU.

    Returns:
        A dictionary with the queues `input` and `output` and the list `processes`, as in sentence-transformers. In
        addition, `lock` lets threads take turns, and `call` is the number of the current call. See `stop_pool`.

    Raises:
        ModelError: PyTorch cannot compute on a device.
        EmbeddingError: `devices` is not a list, or is empty.
    """
    if devices is None:
        count = torch.cuda.device_count()
        devices = [f"cuda:{index}" for index in range(count)] or ["cpu"] * _DEFAULT_CPU_PROCESSES
    if not isinstance(devices, Iterable) or isinstance(devices, str):
        raise EmbeddingError(f"the devices must be a list, such as ['cpu', 'cpu'], got {devices!r}")
    if not devices:
        raise EmbeddingError("the list of devices is empty; pass at least one, such as ['cpu', 'cpu']")
    devices = [str(find_device(device)) for device in devices]
    model.to("cpu")
    model.share_memory()  # The copies on the CPU use the memory of this process.
    context = mp.get_context("spawn")
    inputs, outputs = context.Queue(), context.Queue()
    call = context.RawValue("Q", 0)  # In shared memory: only this process writes it.
    threads = max(1, torch.get_num_threads() // len(devices))
    processes = [
        context.Process(target=_work, args=(device, model, inputs, outputs, call, threads), daemon=True)
        for device in devices
    ]
    for process in processes:
        process.start()
    return {"input": inputs, "output": outputs, "processes": processes, "lock": threading.Lock(), "call": call}


def stop_pool(pool: Pool) -> None:
    """End the processes of a pool and close its queues. Raise `EmbeddingError` if it is no pool of `start_pool`."""
    _check_pool(pool)
    for process in pool["processes"]:
        process.terminate()
    for process in pool["processes"]:
        process.join()
        process.close()
    pool["input"].cancel_join_thread()
    pool["input"].close()
    pool["output"].close()


def encode_in_pool(
    model: Any,
    texts: list[str],
    request: EncodeRequest,
    pool: Pool | None,
    devices: Any,
    chunk_size: int | None,
) -> Any:
    """Encode texts in the processes of a pool, and return what `tercet.encoder.encode.encode_texts` returns.

    Threads that share a pool take turns. After an interrupted call, the pool can be used again.

    Args:
        pool: a pool of `start_pool`; if None, a pool on `devices` is started, and stopped at the end.
        chunk_size: the number of texts per chunk. By default a tenth of the texts of a process, at most 5,000.

    Raises:
        EmbeddingError: `chunk_size` is not a positive integer, `pool` is no pool of `start_pool`, a process failed, or
            a process ended.
    """
    check_count("chunk_size", chunk_size)
    if pool is not None:
        _check_pool(pool)
    if not texts:
        return encode_texts(model, texts, request)
    if pool is not None:
        return _combine(_encode_chunks(pool, texts, request, chunk_size))
    device = model.device
    pool = start_pool(model, devices)
    try:
        return _combine(_encode_chunks(pool, texts, request, chunk_size))
    finally:
        stop_pool(pool)
        model.to(device)


def _check_pool(pool: Any) -> None:
    if not isinstance(pool, dict) or not pool.keys() >= _KEYS:
        raise EmbeddingError(f"pool must be the result of start_multi_process_pool, got {short_repr(pool)}")


def _encode_chunks(pool: Pool, texts: list[str], request: EncodeRequest, chunk_size: int | None) -> list[Any]:
    size = chunk_size or min(math.ceil(len(texts) / len(pool["processes"]) / _CHUNKS_PER_PROCESS), _MAX_CHUNK)
    starts = range(0, len(texts), size)
    in_process = replace(request, show_progress_bar=False, on_cpu=True)
    results: list[Any] = [None] * len(starts)
    with pool["lock"]:
        pool["call"].value += 1
        try:
            for number, start in enumerate(starts):
                pool["input"].put((pool["call"].value, number, texts[start : start + size], in_process))
            for _ in tqdm(starts, desc="Encode", unit="chunk", disable=not request.show_progress_bar):
                number, result, problem = _next_result(pool)
                if problem:
                    raise EmbeddingError(f"encoding failed in a process of the pool: {problem}")
                # A copy frees the memory that both processes share, which is an open file.
                results[number] = _map_tensors(Tensor.clone, result)
        finally:
            pool["call"].value += 1  # The processes skip the chunks of a call that an error or an interrupt has ended.
    return results


def _combine(chunks: list[Any]) -> Any:
    return torch.cat(chunks) if isinstance(chunks[0], Tensor) else list(chain.from_iterable(chunks))


def _next_result(pool: Pool) -> tuple[int, Any, str | None]:
    """Return the next result of the current call. Results of a call that ended early are dropped."""
    while True:
        try:
            call, number, result, problem = pool["output"].get(timeout=_POLL)
            if call == pool["call"].value:
                return number, result, problem
        except queue.Empty:
            ended = [process for process in pool["processes"] if not process.is_alive()]
            if ended:
                raise EmbeddingError(
                    f"{len(ended)} of {len(pool['processes'])} processes of the pool have ended (exit code "
                    f"{ended[0].exitcode}); stop the pool and start a new one"
                ) from None


def _work(device: str, model: Any, inputs: Any, outputs: Any, current_call: Any, threads: int) -> None:
    """Encode chunks until the process is ended."""
    # Ctrl-C in a terminal reaches all processes. It interrupts the call in the main process, and the pool stays usable.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)
    while True:
        call, number, texts, request = inputs.get()
        if call != current_call.value:
            continue
        try:
            result = encode_texts(model.to(device), texts, request)
            outputs.put((call, number, _map_tensors(Tensor.cpu, result), None))
        except Exception as error:
            outputs.put((call, number, None, f"{error} ({traceback.format_exc(limit=-1).strip()})"))


def _map_tensors(function: Callable[[Tensor], Tensor], value: Any) -> Any:
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, list):
        return [_map_tensors(function, item) for item in value]
    return {name: _map_tensors(function, item) for name, item in value.items()} if isinstance(value, dict) else value
