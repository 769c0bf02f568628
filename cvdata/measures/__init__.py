"""Named per-image facts: one frozen dataclass each, and the MEASURES tuple."""
