"""What the GPU does. No test machine has one, so NVIDIA's library is stood in for, as recorded."""

from types import SimpleNamespace
from typing import Any

from gpu_worker import gauges
from gpu_worker.gauges import Gauges, Nvml

UUID = "b7c34b33-7c5a-0a8e-f0d0-5d3dd4a3a1f3"


class NVMLError(Exception):
    pass


class Library:
    """nvidia-ml-py 13 on an H100: what it answers, in its own units."""

    NVMLError = NVMLError
    NVML_TEMPERATURE_GPU = 0

    def __init__(self, known: str, *, refuses: str = "") -> None:
        self._known, self._refuses = known, refuses

    def nvmlInit(self) -> None:
        pass

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        if uuid != self._known:
            raise NVMLError("Not Found")
        return uuid

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, slice_: str) -> str:
        return f"whole of {slice_}"

    def nvmlDeviceGetUtilizationRates(self, device: str) -> Any:
        self._answer("utilisation", device)
        return SimpleNamespace(gpu=87, memory=41)  # percent

    def nvmlDeviceGetTemperature(self, device: str, sensor: int) -> int:
        self._answer("temperature", device)
        return 61  # °C

    def nvmlDeviceGetPowerUsage(self, device: str) -> int:
        self._answer("power", device)
        return 412_345  # milliwatts

    def _answer(self, question: str, device: str) -> None:
        heat_of_a_slice = question != "utilisation" and device.startswith("MIG-")
        if question == self._refuses or heat_of_a_slice:
            raise NVMLError("Not Supported")


def test_a_gpu_tells_what_it_does_in_our_units() -> None:
    read = Nvml(Library(f"GPU-{UUID}"), UUID).read()
    assert read == {"gpu_utilisation": 0.87, "gpu_celsius": 61, "gpu_watts": 412.345}


def test_of_a_slice_the_whole_gpu_tells_heat_and_power() -> None:
    read = Nvml(Library(f"MIG-{UUID}", refuses="utilisation"), UUID).read()
    assert read == {"gpu_celsius": 61, "gpu_watts": 412.345}


def test_what_a_gpu_does_not_tell_is_left_out() -> None:
    assert "gpu_watts" not in Nvml(Library(f"GPU-{UUID}", refuses="power"), UUID).read()


def test_without_a_gpu_or_its_driver_nothing_is_told_and_nothing_breaks() -> None:
    assert gauges.find(None) is None
    assert gauges.find(UUID) is None  # the library is here, and no driver


def test_an_answer_that_is_old_is_not_told_as_new() -> None:
    now = [100.0]
    hearing = Gauges(lambda: None, clock=lambda: now[0])
    hearing._heard = (100.0, {"gpu_celsius": 61})
    assert hearing.facts() == {"gpu_celsius": 61}
    now[0] += gauges.FRESH_SECONDS + 1
    assert hearing.facts() == {}
