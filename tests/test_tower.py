"""`tower`: what every kind of model keeps to, and what `dense` does with towers that differ from CLIP's."""

from __future__ import annotations

import pytest
import torch
from slow_parts import slow_mend, slow_outliers, slow_smooth, slow_spread
from test_towers_table import KINDS, encoder_of
from torch.nn.functional import cosine_similarity, normalize

from llmseg.attention import ATTENTION
from llmseg.dense import embed_patches, finish_tokens, run_to_last
from llmseg.tower import image_parameter, text_parameter


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_keeps_to_the_protocol(kind):
    encoder = encoder_of(kind)
    tower, patch = encoder.module.visual, encoder.patch_size
    images = torch.rand(2, 3, 3 * patch + 1, 5 * patch + patch // 2, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        x, grid = tower.embed(images)
        blocks = tower.on_grid(grid)
        assert (tower.patch_size, grid) == (patch, (3, 5))
        assert x.shape[:2] == (2, tower.prefix + 15)
        assert len(blocks) == len(tower.blocks)
        for block in blocks:
            x = block(x)
        out = tower.read_out(x)
        assert out.shape == (*x.shape[:2], encoder.embed_dim)
        torch.testing.assert_close(tower.read_out(x[:, 3]), out[:, 3], atol=1e-5, rtol=0)
        assert tower(images).shape == (2, encoder.embed_dim)


@pytest.mark.parametrize("kind", KINDS)
def test_a_parameter_tells_the_number_format_of_each_side(kind):
    encoder = encoder_of(kind)
    ours, theirs = image_parameter(encoder.module), text_parameter(encoder.module)
    named = {id(parameter): name for name, parameter in encoder.module.named_parameters()}
    assert named[id(ours)].startswith("visual.")
    assert not named[id(theirs)].startswith("visual.")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "CLIP ResNet"])
def test_a_window_finished_later_is_the_same_window(kind):
    encoder = encoder_of(kind)
    tower, patch = encoder.module.visual, encoder.patch_size
    images = torch.rand(2, 3, 3 * patch, 5 * patch, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        later = finish_tokens(tower, run_to_last(tower, images), (3, 5), ATTENTION["naclip"])
        torch.testing.assert_close(later, embed_patches(tower, images, ATTENTION["naclip"]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["SigLIP", "PE-Core"])
def test_scclip_adds_a_share_of_cls_where_there_is_one(kind):
    """SC-CLIP literally, one image at a time; three blocks, so that its middle and early ones are known."""
    encoder = encoder_of(kind)
    tower, settings = encoder.module.visual, ATTENTION["scclip"].calibration
    images = torch.rand(2, 3, 24, 40, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        got = embed_patches(tower, images, ATTENTION["scclip"])
        for image, features in zip(images, got, strict=True):
            x, grid = tower.embed(image[None])
            blocks, outputs = tower.on_grid(grid), []
            for block in blocks[:-1]:
                x = block(x)
                outputs.append(x[0])
            wanted = scclip_end(tower, blocks[-1], outputs, grid, settings)
            torch.testing.assert_close(features, wanted.float(), atol=2e-5, rtol=0)


def scclip_end(tower, last, outputs, grid, settings):
    """Of a tower of three blocks: the early features are the first block's, the middle ones the second's."""
    first = tower.prefix
    early, middle = outputs
    outliers = slow_outliers(middle[first:])
    mended = slow_mend(middle[first:], outliers, grid)
    alike = cosine_similarity(mended[:, None], mended[None], dim=-1)
    early_alike = cosine_similarity(early[first:, None], early[None, first:], dim=-1)

    def attend(patches, cls):
        own = last.attn.project(last.ln_1(patches[None]))
        logits = own.k @ own.k.transpose(-1, -2) * own.k.shape[-1] ** -0.5
        mixed = 0.5 * (logits.softmax(-1) + slow_spread(alike, settings.sharpness).to(logits)) @ own.v
        return last.attn.merge(mixed)[0] + (settings.cls_share * cls if first else 0)

    out = attend(slow_smooth(mended, alike, settings.least).to(mended), middle[0])
    summed = early + middle
    more = attend(summed[first:], summed[0])
    tokens = slow_smooth(out + more, early_alike, settings.least).to(out)
    return normalize(tower.read_out(tokens), dim=-1).unflatten(0, grid)
