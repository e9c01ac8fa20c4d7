"""The public code of nine methods, each built from seeded weights and run as published.

A runner takes a checkout's modules (already importable), a state dict and a case, and gives cosines at the original
size and labels. Where a checkout has a segmentor, its own `predict`, or `forward_slide` and `postprocess_result`, run
unchanged. GEM and CLIP Surgery publish no windows and no labels: their own forward runs on each window, overlaps
are averaged as mmsegmentation's slide inference does, and a label is the class of the largest cosine.

Not here: stand-ins for missing packages (`reference_stubs`), files (`reference`).
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from .reference_inputs import PATCH, Case
from .reference_stubs import Sample, without_cuda

__all__ = ["RUNNERS", "build_segmentor"]

State = Mapping[str, Tensor]
Result = tuple[Tensor, Tensor]

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
# ResCLIP's settings are tuned per data set; these are the ones for COCO-Stuff, which the engine has too.
RESCLIP = {"temp_thd": 0.11, "attn_sfr_weights": (1.8, 0.7), "attn_rcs_weights": (2.0, 0.4), "delete_same_entity": True}


def run_sclip(state: State, case: Case) -> Result:
    """SCLIP: `clip_segmentor.py`."""
    model = importlib.import_module("clip_segmentor").CLIPForSegmentation
    return _predict(build_segmentor(model, state, **_slides(case), pamr_steps=case.pamr), case)


def run_naclip(state: State, case: Case) -> Result:
    """NACLIP: `naclip.py`."""
    model = importlib.import_module("naclip").NACLIP
    return _predict(build_segmentor(model, state, **_slides(case), pamr_steps=case.pamr), case)


def run_scclip(state: State, case: Case) -> Result:
    """SC-CLIP: `scclip_segmentor.py`."""
    model = importlib.import_module("scclip_segmentor").SCCLIPForSegmentation
    return _predict(build_segmentor(model, state, **_slides(case), pamr_steps=case.pamr), case)


def run_resclip(state: State, case: Case) -> Result:
    """ResCLIP: `resclip_segmentor.py`, which asks for CUDA in several places; its float16 casts stay."""
    model = importlib.import_module("resclip_segmentor").ResCLIPSegmentation
    with without_cuda():
        return _predict(build_segmentor(model, state, **_slides(case), **RESCLIP, pamr_steps=case.pamr), case)


def run_itaclip(state: State, case: Case) -> Result:
    """ITACLIP: `itaclip_segmentor.py`, one view, without its closing of label numbers (see `reference_stubs`)."""
    model = importlib.import_module("itaclip_segmentor").ITACLIP_Segmentor
    # The data set only says whether class 0 gets definitions, which no vector given from outside needs.
    options = {"path": "model_name", "dataset_name": "coco_stuff"} | _slides(case)
    return _predict(build_segmentor(model, state, **options, pamr_steps=case.pamr), case)


def run_clearclip(state: State, case: Case) -> Result:
    """ClearCLIP: `clearclip_segmentor.py` with the open_clip of its folder, in float32 instead of float16."""
    return _run_clearclip(state, case, "ClearCLIP", ignore_residual=True)


def run_maskclip(state: State, case: Case) -> Result:
    """MaskCLIP as ClearCLIP's code has it, with the residual and the FFN of MaskCLIP's own."""
    return _run_clearclip(state, case, "MaskCLIP", ignore_residual=False)


def _run_clearclip(state: State, case: Case, kind: str, ignore_residual: bool) -> Result:
    module = importlib.import_module("clearclip_segmentor")
    module.create_model = lambda *_, **__: _open_clip(state)
    options = {"device": torch.device("cpu"), "ignore_residual": ignore_residual, "logit_scale": 40}
    with tempfile.TemporaryDirectory() as folder:
        segmentor = module.ClearCLIPSegmentation("CLIP", "ViT-B/16", kind, _one_name(folder), **options)
    _install(segmentor, case)
    sample = Sample(case.size)
    # `predict` would cast the picture to float16, which a float32 model refuses.
    scores = segmentor.forward_slide(_normalise(segmentor, case), [sample.metainfo], case.stride, case.window)
    segmentor.postprocess_result(scores, [sample])
    return scores[0], sample.results["pred_sem_seg"].data[0]


def run_gem(state: State, case: Case) -> Result:
    """GEM: its wrapper around the installed open_clip."""
    wrapper = importlib.import_module("gem.gem_wrapper").GEMWrapper(_open_clip(state), tokenizer=None)
    # Written for an open_clip whose blocks take [N,B,D]; today's take [B,N,D] unless told otherwise. The blocks that
    # GEM replaces transpose themselves, the others are told here.
    for block in wrapper.model.visual.transformer.resblocks[: -(wrapper.depth - 1)]:
        block.attn.batch_first = False
    wrapper.encode_text = lambda queries: queries[None]
    return _slide(case, lambda window: wrapper(window, case.queries, normalize=False))


def run_surgery(state: State, case: Case) -> Result:
    """CLIP Surgery's architecture: cosines of its dual path, without its feature surgery on class lists."""
    model = importlib.import_module("clip.build_model").build_model("CS-ViT-B/16", dict(state))

    def forward(window: Tensor) -> Tensor:
        features = model.encode_image(window)[:, 1:]
        maps = (features / features.norm(dim=-1, keepdim=True)) @ case.queries.T
        side = window.shape[-1] // PATCH  # squares only, as published
        return interpolate(maps.unflatten(1, (side, side)).permute(0, 3, 1, 2), size=window.shape[-2:], mode="bilinear")

    return _slide(case, forward)


def _open_clip(state: State) -> Any:
    """A float32 model of whichever open_clip is importable, read as OpenAI's weights are."""
    build = importlib.import_module("open_clip.model").build_model_from_openai_state_dict
    return build(dict(state), quick_gelu=True, cast_dtype=torch.float32).float()


def build_segmentor(model: type, state: State, path: str = "clip_path", **options: Any) -> Any:
    """A segmentor whose own loader reads the weights from a file."""
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.pt"
        torch.save(dict(state), weights)
        return model(
            **{path: str(weights)}, name_path=_one_name(folder), device=torch.device("cpu"), logit_scale=40, **options
        )


def _one_name(folder: str) -> str:
    # Vectors are given from outside; one name keeps the text tower's share of the time small.
    path = Path(folder) / "names.txt"
    path.write_text("thing")
    return str(path)


def _slides(case: Case) -> dict[str, int]:
    return {"slide_crop": case.window, "slide_stride": case.stride}


def _install(segmentor: Any, case: Case) -> None:
    segmentor.query_features, segmentor.query_idx = case.queries, case.class_index
    segmentor.num_queries, segmentor.num_classes = len(case.queries), int(case.class_index.max()) + 1


def _normalise(segmentor: Any, case: Case) -> Tensor:
    """The picture as mmsegmentation's preprocessor would hand it on, with the segmentor's own numbers. [1,3,h,w]"""
    numbers = segmentor.data_preprocessor
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (numbers.mean, numbers.std))
    return ((case.picture.float() - mean) / std)[None]


def _predict(segmentor: Any, case: Case) -> Result:
    """Run `predict`, and keep the cosines that it hands to its own last step."""
    _install(segmentor, case)
    kept: list[Tensor] = []
    finish = segmentor.postprocess_result

    def keep_and_finish(scores: Tensor, *arguments: Any) -> Any:
        kept.append(scores[0].clone())
        return finish(scores, *arguments)

    segmentor.postprocess_result = keep_and_finish
    (sample,) = segmentor.predict(_normalise(segmentor, case), [Sample(case.size)])
    return kept[0], sample.results["pred_sem_seg"].data[0]


def _slide(case: Case, forward: Callable[[Tensor], Tensor]) -> Result:
    """mmsegmentation's slide inference around a forward on one window."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    picture = ((case.picture.float() / 255 - mean) / std)[None]
    height, width = picture.shape[-2:]
    total, count = torch.zeros(1, len(case.queries), height, width), torch.zeros(height, width)
    for top in _starts(height, case.window, case.stride):
        for left in _starts(width, case.window, case.stride):
            rows, columns = slice(top, top + (case.window or height)), slice(left, left + (case.window or width))
            total[..., rows, columns] += forward(picture[..., rows, columns])
            count[rows, columns] += 1
    scores = interpolate(total / count, size=case.size, mode="bilinear")[0]
    return scores, case.class_index[scores.argmax(0)]


def _starts(length: int, window: int, stride: int) -> list[int]:
    if window in (0, length):
        return [0]
    return [min(start, length - window) for start in range(0, length - window + stride, stride)]


RUNNERS: Mapping[str, Callable[[State, Case], Result]] = {
    "sclip": run_sclip,
    "naclip": run_naclip,
    "maskclip": run_maskclip,
    "clearclip": run_clearclip,
    "gem": run_gem,
    "surgery": run_surgery,
    "itaclip": run_itaclip,
    "scclip": run_scclip,
    "resclip": run_resclip,
}
