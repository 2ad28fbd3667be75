"""The device of a network: the CPU, or a GPU whose memory is measured, freed, and may be too small."""

from __future__ import annotations

import gc
import logging
import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

import torch

from audiojob_runner.errors import PhaseError
from audiojob_types.contract import Device, ExitCode
from audiojob_types.reasons import Reason

# Below this a listener may hear what half precision does to a stem.
MIN_AGREEMENT_DB: Final = 30.0
# Half precision overflows at 65,504, which some layers of demucs reach; bfloat16 has the range of float32.
MIXED_TYPE: Final = torch.bfloat16

_log = logging.getLogger(__name__)


class Accelerator:
    """Runs networks' calls. With ``mixed``, each network's first call is made in both precisions, and the lower one is
    used from then on only where both agree by ``MIN_AGREEMENT_DB``.

    Raises :class:`PhaseError`: GpuError where no GPU can be used, GpuOutOfMemory where others hold all of its memory.
    """

    def __init__(self, device: Device, *, mixed: bool = False) -> None:
        if device is Device.GPU and not torch.cuda.is_available():
            raise PhaseError(ExitCode.GPU, Reason.GPU_ERROR, "No GPU can be used here.")
        self._gpu = device is Device.GPU
        self.device = "cuda" if self._gpu else "cpu"
        self._mixed = mixed and self._gpu
        self._agreements: dict[int, float] = {}
        if self._gpu:
            try:
                torch.cuda.reset_peak_memory_stats()  # the first call that asks the GPU itself for anything
            except RuntimeError as error:
                raise self._explained(error) from error

    def place(self, networks: Iterable[Any]) -> None:
        """Move the networks here. Raises :class:`PhaseError` where they do not fit."""
        for network in networks:
            self.run(partial(network.to, self.device))

    def run(self, call: Callable[[], Any], number: int | None = None) -> Any:
        """The result of a call, of network ``number`` or of none. A GPU that is out of memory gets a second try with
        what can be given back.

        Raises :class:`PhaseError`: GpuOutOfMemory, GpuError, or OutOfMemory of this machine's own memory.
        """
        try:
            return self._run(call, number)
        except torch.OutOfMemoryError:
            _log.warning("the GPU is out of memory; retrying once after freeing unused memory")
        except RuntimeError as error:
            raise self._explained(error) from error
        # Outside the handler: the exception holds the frames that hold the tensors.
        self.give_back()
        try:
            return self._run(call, number)
        except torch.OutOfMemoryError as error:
            raise _gpu_is_full() from error
        except RuntimeError as error:
            raise self._explained(error) from error

    def give_back(self) -> None:
        """Return memory that is not in use to the GPU."""
        gc.collect()
        if self._gpu:
            torch.cuda.empty_cache()

    def metadata(self) -> dict[str, Any]:
        """For the manifest: on a GPU its name, its peak memory, and the precision with the agreement measured."""
        if not self._gpu:
            return {}
        record: dict[str, Any] = {
            "gpu": torch.cuda.get_device_name(),
            "gpuPeakBytes": int(torch.cuda.max_memory_allocated()),
            "precision": "Full",
        }
        if self._agreements:
            lowest = min(self._agreements.values())
            record["agreementDb"] = round(lowest, 1) if math.isfinite(lowest) else None
            record["precision"] = "Mixed" if lowest >= MIN_AGREEMENT_DB else "Full"
        return record

    def _run(self, call: Callable[[], Any], number: int | None) -> Any:
        if number is None:  # parameters that are moved must stay parameters
            return call()
        with torch.inference_mode():
            known = self._agreements.get(number)
            if not self._mixed or (known is not None and known < MIN_AGREEMENT_DB):
                return call()
            with torch.autocast(self.device, dtype=MIXED_TYPE):
                lower = call().float()
            if known is not None:
                return lower
            full = call()
            self._agreements[number] = known = agreement_db(lower, full)
            _log.info("network %d: mixed precision agrees by %.1f dB", number, known)
            return full

    def _explained(self, error: RuntimeError) -> Exception:
        """torch has one exception type for nearly everything; its words tell them apart."""
        text = str(error)
        if "allocate memory" in text:
            return PhaseError(ExitCode.TEMPORARY, Reason.OUT_OF_MEMORY, "There is too little memory for this model.")
        # The driver's and cuBLAS' own words, where memory is short outside of torch's allocator.
        if self._gpu and ("CUDA error: out of memory" in text or "_ALLOC_FAILED" in text):
            return _gpu_is_full()
        if self._gpu and ("CUDA" in text or "cudnn" in text.lower() or "cublas" in text.lower()):
            return PhaseError(ExitCode.GPU, Reason.GPU_ERROR, f"The GPU failed: {text.splitlines()[0][:200]}")
        return error


def _gpu_is_full() -> PhaseError:
    return PhaseError(ExitCode.GPU, Reason.GPU_OUT_OF_MEMORY, "The GPU has too little memory for this model.")


def agreement_db(lower: torch.Tensor, full: torch.Tensor) -> float:
    """By how many dB the full result is above what the lower precision changed; -inf where that is no number."""
    wanted = full.double()
    wrong = float(((lower.double() - wanted) ** 2).sum())
    if not wrong < float("inf"):  # also NaN
        return float("-inf")
    return float(10 * torch.log10((wanted**2).sum() / max(wrong, 1e-30) + 1e-30))
