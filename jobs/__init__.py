"""One batch job a file: Config, run(config), main."""
