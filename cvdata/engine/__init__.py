"""The verbs map, fold and shuffle, on a laptop or a cluster: the only `import ray`."""
