"""A batch on the cores of one machine or on a cluster: workers of Ray run the images, this process keeps the books.

beforehand   what is the same for every image is computed once, here: above all what a language model is asked
reports      what a worker has to say, as text
worker       one worker: a model in memory, one image after the other
cluster      Ray, started or joined, and how much of it a worker gets
engine       the batch

Ray is imported only where a person asked for it.
Source: Ray 2.60, `ray.data`.
"""

from __future__ import annotations

from .engine import Plan, run_on_ray

__all__ = ["Plan", "run_on_ray"]
