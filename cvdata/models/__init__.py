"""Models: encoders and predictors by name. Importing this imports no torch."""

from cvdata.models.base import Encoder, Geometry, Model, Prediction, Predictor, Prepared, Task
from cvdata.models.catalog import MODELS, resolve
from cvdata.models.options import ModelOptions

__all__ = [
    "MODELS",
    "Encoder",
    "Geometry",
    "Model",
    "ModelOptions",
    "Prediction",
    "Predictor",
    "Prepared",
    "Task",
    "resolve",
]
