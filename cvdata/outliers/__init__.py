"""Outliers: images unlike the others, by measures, embeddings, objects; each flag with its reason.

`rows` is what methods see, `reference` what they are fitted on, `fitting` fits them all for one
scope (the dataset or a class), `scoring` scores rows with them, `consensus` ranks over methods.
"""
