"""Arrow batch in, Arrow batch out; knows nothing of where it runs."""
