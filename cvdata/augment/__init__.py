"""Augmentation: operations that draw their parameters and apply them to images and annotations.

Importing this package imports no torch; operations do when they are applied.
"""

from cvdata.augment.base import AUGMENT_VERSION, KINDS, Operation, Params
from cvdata.augment.catalogue import AUGMENTATIONS, build
from cvdata.augment.policy import Policy, Step, ready_names
from cvdata.augment.scene import Scene

__all__ = [
    "AUGMENTATIONS",
    "AUGMENT_VERSION",
    "KINDS",
    "Operation",
    "Params",
    "Policy",
    "Scene",
    "Step",
    "build",
    "ready_names",
]
