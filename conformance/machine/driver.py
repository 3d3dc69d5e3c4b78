"""What the NVIDIA driver says of itself and of its devices, by ctypes; for a process that may crash or hang.

Source of functions and numbers: CUDA Driver API, https://docs.nvidia.com/cuda/cuda-driver-api/.
"""

from __future__ import annotations

import ctypes
from typing import Any

LIBRARY = "libcuda.so.1"
NO_DEVICE = 100
CAPABILITY = (75, 76)  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR


class DriverError(Exception):
    """A call of the driver that failed.

    Attributes:
        code: The driver's number for it.
    """

    def __init__(self, code: int, text: str) -> None:
        """Keep number and text."""
        super().__init__(text)
        self.code = code


class Driver:
    """The driver's library, each call of which raises a DriverError where it fails."""

    def __init__(self) -> None:
        """Load it."""
        self.library = ctypes.CDLL(LIBRARY)

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function of the driver."""
        code = getattr(self.library, name)(*arguments)
        if code:
            raise DriverError(code, f"{name}: {self._words(code)}")

    def _words(self, code: int) -> str:
        """The driver's own words for a number."""
        text = ctypes.c_char_p()
        asked = getattr(self.library, "cuGetErrorString", None)
        known = asked is not None and asked(code, ctypes.byref(text)) == 0 and text.value
        return f"{text.value.decode(errors='replace')} ({code})" if known and text.value else f"error {code}"

    def number(self, name: str, *arguments: Any) -> int:
        """What a function writes into its first argument, an int."""
        value = ctypes.c_int()
        self.call(name, ctypes.byref(value), *arguments)
        return value.value


def query() -> dict[str, Any]:
    """The driver and its devices.

    Returns:
        ``found``; ``version``, the newest CUDA that it knows, 12040 for 12.4; ``error``, why its devices cannot be
        used; and ``devices``: number, name, compute capability, bytes of memory in all and free, and why it cannot be
        used. Of a device that cannot be used ``free`` is None.
    """
    answer: dict[str, Any] = {"found": False, "version": 0, "error": "", "devices": []}
    try:
        driver = Driver()
    except OSError as error:
        return {**answer, "error": str(error)}
    answer["found"] = True
    try:
        answer["version"] = driver.number("cuDriverGetVersion")
        driver.call("cuInit", 0)
        answer["devices"] = [_device(driver, index) for index in range(driver.number("cuDeviceGetCount"))]
    except DriverError as error:
        answer["error"] = "" if error.code == NO_DEVICE else str(error)
    except AttributeError as error:
        answer["error"] = f"not a driver that this suite knows: {error}"
    return answer


def _device(driver: Driver, index: int) -> dict[str, Any]:
    handle, name, total = driver.number("cuDeviceGet", index), ctypes.create_string_buffer(256), ctypes.c_size_t()
    driver.call("cuDeviceGetName", name, len(name), handle)
    driver.call("cuDeviceTotalMem_v2", ctypes.byref(total), handle)
    found: dict[str, Any] = {
        "number": index,
        "name": name.value.decode(errors="replace"),
        "capability": [driver.number("cuDeviceGetAttribute", attribute, handle) for attribute in CAPABILITY],
        "total": total.value,
        "free": None,
        "error": "",
    }
    try:
        found["free"] = _free_memory(driver, handle)
    except DriverError as error:
        found["error"] = str(error)
    return found


def _free_memory(driver: Driver, handle: int) -> int:
    """Bytes free on a device, which takes a context on it: one that is busy or full refuses it."""
    context, free, total = ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_size_t()
    driver.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), handle)
    try:
        driver.call("cuCtxPushCurrent_v2", context)
        driver.call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        driver.call("cuCtxPopCurrent_v2", ctypes.byref(context))
    finally:
        driver.library.cuDevicePrimaryCtxRelease_v2(handle)
    return free.value
