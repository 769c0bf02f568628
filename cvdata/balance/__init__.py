"""Balance: classes cut to a target with their diversity kept, copies budgeted, weights computed."""

from cvdata.balance.diversity import hierarchical, k_center, waterfill
from cvdata.balance.settings import Balance
from cvdata.balance.targets import ClassPlan, Plan, solve, spread
from cvdata.balance.weights import effective_number, inverse_frequency, repeat_factors

__all__ = [
    "Balance",
    "ClassPlan",
    "Plan",
    "effective_number",
    "hierarchical",
    "inverse_frequency",
    "k_center",
    "repeat_factors",
    "solve",
    "spread",
    "waterfill",
]
