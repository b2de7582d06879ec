"""What the worker's GPU does, as NVIDIA's driver tells it (NVML); nothing where there is no driver.

The driver counts the machine's GPUs, CUDA those that this process may see: a number of one means
nothing to the other. So the GPU is found by its UUID. Of a slice of one (MIG) the whole is asked
for heat and power, which no slice has.

A GPU that has fallen off the bus may hold its driver's answers up for ever, so a thread of its own
asks, and what it heard last is told while it is fresh. Knows no torch.
"""

import importlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

logger = logging.getLogger(__name__)

EVERY_SECONDS = 5.0
FRESH_SECONDS = 30.0
MILLIWATTS = 1000


class Nvml:
    """The driver, and the one device that this process uses."""

    def __init__(self, library: Any, uuid: str) -> None:
        """uuid: as CUDA tells it, without GPU- or MIG-. Raises the library's NVMLError."""
        library.nvmlInit()
        self._library = library
        try:
            self._device = self._whole = library.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
        except library.NVMLError:
            self._device = library.nvmlDeviceGetHandleByUUID(f"MIG-{uuid}")
            self._whole = library.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self._device)

    def read(self) -> dict[str, float]:
        """As jobs/metrics/collector.py knows them, without what this GPU does not tell."""
        ask = self._library
        asked: Mapping[str, Callable[[], float]] = {
            # A share of the last second or less; of a slice there is none.
            "gpu_utilisation": lambda: ask.nvmlDeviceGetUtilizationRates(self._device).gpu / 100,
            "gpu_celsius": lambda: ask.nvmlDeviceGetTemperature(
                self._whole, ask.NVML_TEMPERATURE_GPU
            ),
            "gpu_watts": lambda: ask.nvmlDeviceGetPowerUsage(self._whole) / MILLIWATTS,
        }
        facts = {}
        for name, look in asked.items():
            try:
                facts[name] = look()
            except ask.NVMLError as error:
                logger.debug("the GPU does not tell its %s (%s)", name, error)
        return facts


def find(uuid: str | None) -> Nvml | None:
    """Of the GPU with this UUID; None without one, without the library, and without a driver."""
    if uuid is None:
        return None
    try:
        library = importlib.import_module("pynvml")
    except ImportError:
        logger.info("nvidia-ml-py is not installed: this GPU's heat and power are not told")
        return None
    try:
        return Nvml(library, uuid)
    except library.NVMLError as error:
        logger.warning("the driver tells nothing of this GPU (%s)", error)
        return None


class Gauges:
    """Any thread may ask for the facts; asking waits for nothing."""

    def __init__(
        self,
        uuid: Callable[[], str | None],
        *,
        find: Callable[[str | None], Nvml | None] = find,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """uuid is asked once, when the first facts are."""
        self._uuid, self._find, self._clock = uuid, find, clock
        self._heard: tuple[float, dict[str, float]] | None = None
        self._thread: threading.Thread | None = None

    def facts(self) -> dict[str, float]:
        """Empty where nothing is known, and before the first answer."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="gauges", daemon=True)
            self._thread.start()
        heard = self._heard
        if heard is None or self._clock() - heard[0] > FRESH_SECONDS:
            return {}
        return heard[1]

    def _run(self) -> None:
        try:
            found = self._find(self._uuid())
            while found is not None:
                self._heard = (self._clock(), found.read())
                time.sleep(EVERY_SECONDS)
        except Exception:  # these are numbers for a page; the renders go on
            logger.exception("what the GPU does is not told any more")
