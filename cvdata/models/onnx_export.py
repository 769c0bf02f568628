"""A torch classifier to ONNX, once a machine: on a CPU ONNX Runtime runs it several times faster.

The file lies in the cache under the digest of all that it depends on, with its own sha256
beside it; a file that is not what was written is exported anew. Each export is run against
torch before it is kept.
"""

import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cvdata.errors import ConfigError
from cvdata.models.base import digest
from cvdata.models.weights import cache_dir, file_digest, write_atomically

if TYPE_CHECKING:
    import torch
    from torch import nn

log = logging.getLogger(__name__)

EXPORT_VERSION = 1
"""Moves whenever the exported graph should be made anew."""

PARITY = 1e-4
"""Most absolute difference between torch and ONNX Runtime, of any output."""

INPUT = "images"


def cached_path(identity: str) -> Path:
    """Where the export of this identity lies, or will."""
    return cache_dir() / "onnx" / f"{digest([EXPORT_VERSION, identity])[:32]}.onnx"


def find_cached(identity: str) -> tuple[Path, str] | None:
    """(path, sha256) of a finished export whose bytes are as they were written, else None."""
    path = cached_path(identity)
    note = path.with_suffix(".json")
    if not path.is_file() or not note.is_file():
        return None
    written = json.loads(note.read_text())["sha256"]
    if file_digest(path) != written:
        log.warning("%s is not what was written there; it is exported anew", path)
        return None
    return path, written


def export(
    module: "nn.Module",
    identity: str,
    size: tuple[int, int],
    outputs: tuple[str, ...],
    metadata: Mapping[str, str],
) -> tuple[Path, str]:
    """Export `module` (uint8 NHWC in, a tuple out) and check it; (path, sha256).

    Raises `ConfigError` where it cannot be exported or where the outputs differ by over 1e-4.
    """
    import torch

    log.info("exporting to ONNX (once for these weights on this machine)")
    module = module.eval().cpu()
    images = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
    batch = torch.from_numpy(images)
    with torch.inference_mode():
        program = _program(module, batch, outputs)
        expected = [t.numpy() for t in module(batch)]
    program.model.metadata_props.update(metadata)
    path = cached_path(identity)
    write_atomically(path, lambda temporary: program.save(temporary, external_data=False))
    _check_parity(path, images, outputs, expected)
    sha256 = file_digest(path)
    note = json.dumps({"sha256": sha256, "torch": torch.__version__, "identity": identity})
    write_atomically(path.with_suffix(".json"), lambda temporary: _write_text(temporary, note))
    return path, sha256


def _program(module: "nn.Module", batch: "torch.Tensor", outputs: tuple[str, ...]) -> Any:
    import torch

    with warnings.catch_warnings():
        # The exporter's notes on its own internals say nothing of the result: parity does.
        warnings.simplefilter("ignore")
        try:
            program = torch.onnx.export(
                module,
                (batch,),
                dynamo=True,
                verbose=False,
                input_names=[INPUT],
                output_names=list(outputs),
                dynamic_shapes=({0: torch.export.Dim("batch")},),
            )
        except torch.onnx.OnnxExporterError as error:
            raise ConfigError(
                f"{type(module).__name__} cannot be exported to ONNX; set runtime: torch"
            ) from error
    if program is None:
        raise ConfigError("torch.onnx.export gave nothing; set runtime: torch")
    return program


def _check_parity(
    path: Path, images: np.ndarray, outputs: tuple[str, ...], expected: list[np.ndarray]
) -> None:
    from cvdata.models.onnx_session import open_session

    found = open_session(path, "cpu").run(list(outputs), {INPUT: images})
    for name, theirs, ours in zip(outputs, expected, found, strict=True):
        worst = float(np.abs(theirs - ours).max())
        if not worst <= PARITY:
            path.unlink()
            raise ConfigError(
                f"the ONNX export differs from torch by {worst:.2g} in {name}; set runtime: torch"
            )


def _write_text(path: Path, text: str) -> None:
    path.write_text(text)
