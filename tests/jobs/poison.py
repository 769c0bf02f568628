"""A measure that is as bad as the worst decoder: it dies, hangs or eats memory on marked images."""

import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cvdata.image import Image
from cvdata.measures.base import Field, Value

MARKS = {b"SEGFAULT": "decoder_crashed", b"HANG": "timeout", b"MEMORY": "out_of_memory"}


@dataclass(frozen=True)
class Poison:
    """Acts on a mark in the bytes after the image's end."""

    name: ClassVar[str] = "poison"
    version: ClassVar[int] = 1
    fields: ClassVar[tuple[Field, ...]] = (Field("is_harmless", "bool", "always true"),)

    def __call__(self, image: Image) -> Mapping[str, Value]:
        tail = image.data[-16:]
        if tail.endswith(b"SEGFAULT"):
            os.kill(os.getpid(), signal.SIGSEGV)
        if tail.endswith(b"HANG"):
            time.sleep(600)
        if tail.endswith(b"MEMORY"):
            np.ones(8 * 1024**3, np.uint8)
        if tail.endswith(b"BUG"):
            raise ZeroDivisionError("planted")
        return {"is_harmless": True}
