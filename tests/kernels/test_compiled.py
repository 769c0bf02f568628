"""Kernels compile at first use, take read-only arrays, and are cheap to import."""

import os
import subprocess
import sys

import numpy as np

from cvdata.kernels import pixels
from cvdata.kernels.compiled import kernels
from cvdata.kernels.warm import MODULES, warm


def test_importing_measures_loads_no_heavy_library() -> None:
    code = (
        "import sys, cvdata.measures, cvdata.kernels.warm; "
        "heavy = {'numba', 'scipy', 'skimage', 'imagehash', 'torch', 'ray', 'xxhash'}; "
        "loaded = heavy & set(sys.modules); assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_warm_makes_every_kernel_ready() -> None:
    assert warm() == len(list(kernels()))
    assert all(kernel._native is not None for kernel in kernels())
    assert {kernel.function.__module__ for kernel in kernels()} >= {m.__name__ for m in MODULES}


def test_read_only_pixels_are_taken() -> None:
    rgb = np.zeros((3, 4, 3), np.uint8)
    rgb.setflags(write=False)
    planes = tuple(np.ascontiguousarray(rgb[:, :, c]) for c in range(3))
    for plane in planes:
        plane.setflags(write=False)
    assert not pixels.to_gray(planes).any()
    assert pixels.scan_pixels(rgb).luma[0] == 12


def test_without_a_place_for_the_cache_kernels_compile_all_the_same() -> None:
    code = (
        "import numpy as np; from cvdata.kernels import exposure; "
        "assert exposure.mean(np.array([1, 0, 3], np.uint32)) == 1.5"
    )
    nowhere = os.environ | {"NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator"}
    nowhere.pop("NUMBA_CACHE_DIR", None)
    subprocess.run([sys.executable, "-c", code], check=True, env=nowhere)
