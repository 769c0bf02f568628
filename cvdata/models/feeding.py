"""Batches on their way to a device: two buffers, one copied into while the other is computed on.

On a GPU the buffers are pinned and the copy runs on a stream of its own, beside the model. On a
CPU the same code stands in, without pins and streams. Imports torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from cvdata.models.base import Pixels


@dataclass
class Staged:
    """A batch on the device, uint8 (N, H, W, 3); `ready` is the event that its copy ends with."""

    tensor: torch.Tensor
    ready: Any = None

    def __len__(self) -> int:
        return len(self.tensor)


class Feeder:
    """Stages batches in turns into two buffers, which grow to the largest batch.

    A staged batch stands until the second next is staged: stage one ahead, no more.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.is_cuda = device.type == "cuda"
        self._slots = [_Slot(), _Slot()]
        self._stream = torch.cuda.Stream(device) if self.is_cuda else None  # type: ignore[no-untyped-call]

    def __call__(self, images: Sequence[Pixels]) -> Staged:
        """Copy N pictures (H, W, 3) of one size to the device; may run in a thread of its own."""
        slot = self._slots.pop(0)
        self._slots.append(slot)
        if slot.copied is not None:
            slot.copied.synchronize()  # the last copy out of this buffer
        shape = (len(images), *images[0].shape)
        host = slot.view(shape, self.is_cuda)
        for place, image in zip(host.numpy(), images, strict=True):
            np.copyto(place, image)
        if self._stream is None:
            return Staged(host)
        with torch.cuda.stream(self._stream):
            tensor = host.to(self.device, non_blocking=True)
            slot.copied = self._stream.record_event()
        return Staged(tensor, slot.copied)

    def wait(self, staged: Staged) -> torch.Tensor:
        """The batch, once the device may read it."""
        if staged.ready is not None:
            stream = torch.cuda.current_stream(self.device)
            stream.wait_event(staged.ready)
            # Its memory belongs to the copying stream; it must not be reused before we are done.
            staged.tensor.record_stream(stream)
        return staged.tensor


@dataclass
class _Slot:
    """One buffer of the host, and the event of the last copy out of it."""

    memory: torch.Tensor | None = None
    copied: Any = None

    def view(self, shape: tuple[int, ...], is_pinned: bool) -> torch.Tensor:
        """The first bytes of the buffer in this shape."""
        n = int(np.prod(shape))
        if self.memory is None or len(self.memory) < n:
            self.memory = torch.empty(n, dtype=torch.uint8, pin_memory=is_pinned)
        return self.memory[:n].view(shape)
