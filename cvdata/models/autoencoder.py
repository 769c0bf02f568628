"""A small convolutional autoencoder, trained on a dataset's own images: what it cannot give back.

Each image is seen twice, `whole` (shrunk) and in `detail` (a crop at its own resolution): noise is
lost in shrinking, and a foreign scene need not show in a crop.
"""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import nn

from cvdata.errors import ConfigError
from cvdata.models.base import Floats, Pixels, digest

SIDE = 64
VIEWS = ("whole", "detail")
ERRORS = (
    *("whole_luma_error", "whole_chroma_error", "detail_luma_error", "detail_chroma_error"),
    *("whole_luma_quiet", "whole_chroma_quiet", "detail_luma_quiet", "detail_chroma_quiet"),
)
AUTOENCODER_VERSION = 2
"""Moves whenever training or errors of the same images can change."""
_OPPONENT = ((1 / 3, 1 / 3, 1 / 3), (0.5, 0.0, -0.5), (-0.25, 0.5, -0.25))
"""Luma, and two axes of chroma, of red, green and blue."""
_BLOCK = 8
_QUIET = 0.1
_BATCH = 64


@dataclass(frozen=True)
class Training:
    """How it is trained: `steps` of `batch` views, whatever the number of images.

    That bounds the time: 2,500 steps of 32 take 75 s of one core. 16 times fewer numbers pass the
    middle than an image has.
    """

    steps: int = 2500
    batch: int = 32
    width: int = 16
    code: int = 12
    seed: int = 0

    @property
    def fingerprint(self) -> str:
        """Hex sha256 of all that can change the weights of the same images."""
        fields = [self.steps, self.batch, self.width, self.code, self.seed]
        return digest(["autoencoder", AUTOENCODER_VERSION, *fields])


class Autoencoder(nn.Module):
    """(N, 3, 64, 64) in [-0.5, 0.5] -> the same through a grid of 8 x 8 codes."""

    def __init__(self, width: int, code: int) -> None:
        super().__init__()
        w = width
        self.encoder = nn.Sequential(
            *_down(3, w), *_down(w, 2 * w), *_down(2 * w, 2 * w), nn.Conv2d(2 * w, code, 1)
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(code, 2 * w, 3, padding=1),
            nn.LeakyReLU(0.1),
            *_up(2 * w, 2 * w),
            *_up(2 * w, w),
            nn.ConvTranspose2d(w, 3, 4, 2, 1),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The images given back."""
        given_back: torch.Tensor = self.decoder(self.encoder(images))
        return given_back


def _down(n_in: int, n_out: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(n_in, n_out, 4, 2, 1), nn.LeakyReLU(0.1)


def _up(n_in: int, n_out: int) -> tuple[nn.Module, nn.Module]:
    return nn.ConvTranspose2d(n_in, n_out, 4, 2, 1), nn.LeakyReLU(0.1)


def train(views: Pixels, training: Training = Training(), device: str = "cpu") -> bytes:
    """Weights (as `.npz`) for views uint8 (N, 2, 64, 64, 3); the same to the bit on a CPU.

    One thread, so that the number of cores changes nothing either. Adam with one cycle of the
    learning rate (Smith, Topin 2018). Raises `ConfigError` for fewer than two images.
    """
    if len(views) < 2:
        raise ConfigError(f"an autoencoder needs images to learn from; {len(views)} can be read")
    with _repeatable(training.seed):
        model = Autoencoder(training.width, training.code).to(device)
        generator = torch.Generator().manual_seed(training.seed)
        optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=training.steps)
        flat = views.reshape(-1, SIDE, SIDE, 3)
        for step in range(training.steps):
            at = torch.randint(len(flat), (training.batch,), generator=generator)
            images = _tensor(flat[at.numpy()], device)
            images = images.flip(3) if step % 2 else images
            loss = ((model(images) - images) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        return _saved(model)


def errors(weights: bytes, views: Pixels, device: str = "cpu") -> Floats:
    """(N, 8) float32 for views uint8 (N, 2, 64, 64, 3), in the order of `ERRORS`.

    Mean squared errors, pixels in [0, 1], of the whole view and of the detail, apart for luma and
    for chroma; then the same in the quietest tenth of the blocks of 8 x 8 pixels. All >= 0. What
    is not given back of a scene has edges and is grey; noise has neither, and no block is quiet.
    """
    model = _loaded(weights, device)
    opponent = torch.tensor(_OPPONENT, device=device).T
    out = np.empty((len(views), len(ERRORS)), np.float32)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            for i in range(0, len(views), _BATCH):
                for j in range(len(VIEWS)):
                    images = _tensor(views[i : i + _BATCH, j], device)
                    blocks = _blocks(model(images) - images, opponent)
                    quiet = torch.quantile(blocks, _QUIET, dim=1)
                    out[i : i + _BATCH, 2 * j : 2 * j + 2] = blocks.mean(dim=1).cpu().numpy()
                    out[i : i + _BATCH, 2 * j + 4 : 2 * j + 6] = quiet.cpu().numpy()
    finally:
        torch.set_num_threads(before)
    return out


def _blocks(missed: torch.Tensor, opponent: torch.Tensor) -> torch.Tensor:
    """(N, 3, 64, 64) -> (N, 64, 2) mean squared luma and chroma of each block."""
    n, k = len(missed), SIDE // _BLOCK
    squares = (missed.permute(0, 2, 3, 1) @ opponent) ** 2
    means = squares.reshape(n, k, _BLOCK, k, _BLOCK, 3).mean(dim=(2, 4)).reshape(n, k * k, 3)
    return torch.stack([means[..., 0], means[..., 1] + means[..., 2]], dim=2)


def _tensor(images: Pixels, device: str) -> torch.Tensor:
    tensor = torch.from_numpy(np.ascontiguousarray(images)).to(device)
    return tensor.permute(0, 3, 1, 2).float() / 255 - 0.5


def _saved(model: nn.Module) -> bytes:
    buffer = io.BytesIO()
    state = {name: value.cpu().numpy() for name, value in model.state_dict().items()}
    np.savez(buffer, **state)
    return buffer.getvalue()


@lru_cache(maxsize=2)
def _loaded(weights: bytes, device: str) -> Autoencoder:
    with np.load(io.BytesIO(weights), allow_pickle=False) as arrays:
        state = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    first, last = state["encoder.0.weight"], state["encoder.6.weight"]
    model = Autoencoder(first.shape[0], last.shape[0])
    model.load_state_dict(state)
    return model.eval().to(device)


@contextmanager
def _repeatable(seed: int) -> Iterator[None]:
    """One thread, deterministic algorithms, torch's generator seeded; as it was afterwards."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    state = torch.random.get_rng_state()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)
        torch.random.set_rng_state(state)
