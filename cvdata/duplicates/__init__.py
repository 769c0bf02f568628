"""Candidates -> verified pairs -> groups -> the copy that is kept."""
