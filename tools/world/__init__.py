"""The embedded world: how its pictures, its vocabulary and its model file were made.

Scripts, run from a checkout with ``python -m tools.world.<name>``; not part of the wheel.

Not here: the results, which lie in ``llmseg/data``; the training of the model.
"""
