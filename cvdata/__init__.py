"""Curate image datasets with Ray Data: one decode, every fact, nothing lost."""
