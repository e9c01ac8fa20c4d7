"""Towers other than OpenAI's: each keeps to `llmseg.tower` and is built from tensors or from a library's own model.

Not here: which one a file holds (`llmseg.models.weights`), methods that run on them (`llmseg.dense`).
"""
