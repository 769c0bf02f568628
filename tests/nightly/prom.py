"""A metrics file, read as Prometheus reads it."""

import json

from prometheus_client.parser import text_string_to_metric_families

OF_EVERY_SAMPLE = ("job", "workspace")


def samples(text: str) -> dict[str, float]:
    """Samples by name and the labels that are not those of every sample."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = {k: v for k, v in sample.labels.items() if k not in OF_EVERY_SAMPLE}
            key = json.dumps(labels, sort_keys=True) if labels else ""
            found[f"{sample.name}{key}"] = sample.value
    return found
