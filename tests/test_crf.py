"""`crf`: mean field is its formula, the lattice is its definition and nearly a Gaussian, labels are pydensecrf's."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict

import numpy as np
import pytest
import torch

from llmseg import crf
from llmseg.crf import CRF_PRESETS, DenseCrf
from llmseg.errors import InputError


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def texture(height, width, seed=0):
    """Smooth colours and grain, as integers. [3,H,W]"""
    smooth = torch.nn.functional.interpolate(noise(1, 3, 5, 6, seed=seed), size=(height, width), mode="bicubic")[0]
    return (smooth * 255 + noise(3, height, width, seed=seed + 1) * 30).clamp(0, 255).round()


def blobs(problems, labels, height, width, seed=0):
    """Probabilities in blocks. [N,L,H,W]"""
    coarse = (noise(problems, labels, 5, 6, seed=seed) * 4).softmax(1)
    return torch.nn.functional.interpolate(coarse, size=(height, width), mode="nearest")


# --- twins ---


def slow_kernels(image, gaussian, bilateral, kernel):
    """Weight times the kernel between all pairs of pixels, normalised. [P,P] each"""
    height, width = image.shape[1:]
    places = torch.tensor([[x, y] for y in range(height) for x in range(width)], dtype=torch.float64)
    colours = image.double().flatten(1).T
    for weight, features in (
        (gaussian[1], places / gaussian[0]),
        (bilateral[2], torch.cat([places / bilateral[0], colours / bilateral[1]], dim=1)),
    ):
        matrix = kernel(features)
        scale = matrix.sum(1).rsqrt()
        yield weight * scale[:, None] * matrix * scale


def slow_twin(image, probability, gaussian, bilateral, steps, kernel):
    """Mean field with a matrix. [L,H,W]"""
    evidence = probability.double().flatten(1).clamp(min=1e-8).log()
    total = sum(slow_kernels(image, gaussian, bilateral, kernel))
    beliefs = evidence.softmax(0)
    for _ in range(steps):
        beliefs = (evidence + beliefs @ total.T).softmax(0)
    return beliefs.view(probability.shape)


def gaussian_kernel(features):
    return (torch.cdist(features, features).square() / -2).exp()


def lattice_kernel(features):
    """The permutohedral lattice, vertex by vertex, in dictionaries."""
    corners = [simplex(point) for point in features.tolist()]
    vertices = {vertex for weights in corners for vertex in weights}
    columns = []
    for point in corners:
        values = point  # a one at this point, splat
        for axis in range(features.shape[1] + 1):
            blurred = defaultdict(float)
            for vertex, share in itertools.product(vertices, (-1, 0, 1)):
                other = tuple(
                    place + share * (features.shape[1] if i == axis else -1) for i, place in enumerate(vertex)
                )
                blurred[vertex] += values.get(other, 0.0) * (1 - abs(share) / 2)
            values = blurred
        columns.append([sum(weight * values[vertex] for vertex, weight in there.items()) for there in corners])
    return torch.tensor(columns, dtype=torch.float64).T


def simplex(point):
    """Corners of the simplex around a point, and their barycentric weights."""
    axes = len(point) + 1
    scaled = [x * math.sqrt(2 / 3) * axes / math.sqrt((i + 1) * (i + 2)) for i, x in enumerate(point)]
    elevated = [sum(scaled[i:]) - (i * scaled[i - 1] if i else 0) for i in range(axes)]
    origin = [round(x / axes) * axes for x in elevated]
    by_rest = sorted(range(axes), key=lambda i: origin[i] - elevated[i])  # the most rounded off comes first
    excess = sum(origin) // axes
    for i in by_rest[axes - excess :] if excess > 0 else by_rest[:-excess]:
        origin[i] -= int(math.copysign(axes, excess))
    rest = [x - o for x, o in zip(elevated, origin, strict=True)]
    order = sorted(range(axes), key=lambda i: -rest[i])
    weights = {}
    for corner in range(axes):
        vertex = list(origin)
        for i in range(axes):
            vertex[i] += corner - (axes if i in order[axes - corner :] else 0)
        above, below = order[axes - corner - 1], order[(axes - corner) % axes]
        weights[tuple(vertex)] = (rest[above] - rest[below]) / axes + (corner == 0)
    return weights


@pytest.mark.parametrize(("height", "width"), [(3, 5), (4, 3)])
def test_the_lattice_is_its_definition(height, width):
    image, probability = noise(3, height, width) * 90, blobs(2, 3, height, width)
    settings = (2.3, 1.5), (5.1, 31.0, 2.5)
    sharpened = DenseCrf(image, *settings).infer(probability, 2)
    for number in range(2):
        expected = slow_twin(image, probability[number], *settings, 2, lattice_kernel)
        assert torch.allclose(sharpened[number].double(), expected, atol=1e-5)


@pytest.mark.parametrize(("colours", "tolerance"), [(False, 0.12), (True, 0.2)])
def test_the_lattice_is_nearly_a_gaussian(colours, tolerance):
    """To 9 and 17 % of its norm, on few pixels; rounds of messages multiply the difference."""
    places = torch.tensor([[x, y] for y in range(9) for x in range(7)]).float()
    features = torch.cat([places / 40, noise(63, 3) * 60 / 13], dim=1) if colours else places / 3
    exact = gaussian_kernel(features.double())
    exact = exact / exact.sum(1).outer(exact.sum(1)).sqrt()
    assert (crf._Kernel(features).filter(torch.eye(63)) - exact).norm() < tolerance * exact.norm()


@pytest.mark.parametrize("preset", CRF_PRESETS.values(), ids=CRF_PRESETS)
def test_labels_are_those_of_pydensecrf(preset):
    library = pytest.importorskip("pydensecrf.densecrf", reason="needs pydensecrf2, built from source")
    image, probability = texture(288, 288), blobs(2, 2, 288, 288)
    sharpened = DenseCrf(image, preset.gaussian, preset.bilateral).infer(probability, preset.steps)
    for ours, given in zip(sharpened, probability, strict=True):
        field = library.DenseCRF2D(288, 288, 2)
        field.setUnaryEnergy((-given.log()).flatten(1).contiguous().numpy())
        field.addPairwiseGaussian(sxy=preset.gaussian[0], compat=preset.gaussian[1])
        place, colour, weight = preset.bilateral
        pixels = image.permute(1, 2, 0).byte().contiguous().numpy()
        field.addPairwiseBilateral(sxy=place, srgb=colour, rgbim=pixels, compat=weight)
        theirs = torch.from_numpy(np.array(field.inference(preset.steps))).view(2, 288, 288)
        assert (ours.argmax(0) == theirs.argmax(0)).double().mean() > 0.9999
        assert (ours - theirs).abs().mean() < 1e-5


# --- by hand ---


def test_a_single_pixel_hears_itself_alone():
    """Its normalised kernel is 1, so each round adds all weights times its belief."""
    image, probability = torch.full((3, 1, 1), 7.0), torch.tensor([0.75, 0.25]).view(2, 1, 1)
    belief = DenseCrf(image, gaussian=(3.0, 1.0), bilateral=(40.0, 13.0, 2.0)).infer(probability, 1)
    odds = 3 * math.exp(3 * (0.75 - 0.25))
    assert belief.flatten().tolist() == pytest.approx([odds / (1 + odds), 1 / (1 + odds)])


def test_no_round_leaves_the_probabilities():
    belief = DenseCrf(texture(4, 6)).infer(torch.tensor([3.0, 1.0, 0.0]).view(3, 1, 1).expand(3, 4, 6), 0)
    assert torch.allclose(belief[:, 0, 0], torch.tensor([0.75, 0.25, 0.0]), atol=1e-6)


# --- what holds for every preset ---


@pytest.fixture(params=CRF_PRESETS.values(), ids=list(CRF_PRESETS))
def preset(request):
    return request.param


def sharpen(image, probability, preset):
    return DenseCrf(image, preset.gaussian, preset.bilateral).infer(probability, preset.steps)


def test_probabilities_sum_to_one_and_keep_their_form(preset):
    given = blobs(2, 3, 13, 17).double()
    sharpened = sharpen(texture(13, 17), given, preset)
    assert (sharpened.shape, sharpened.dtype) == (given.shape, given.dtype)
    assert bool((sharpened >= 0).all())
    assert torch.allclose(sharpened.sum(1), torch.ones(2, 13, 17, dtype=torch.float64))


def test_certain_pixels_are_no_infinity(preset):
    certain = torch.nn.functional.one_hot(torch.arange(13 * 17) % 2).T.reshape(2, 13, 17)
    assert bool(sharpen(texture(13, 17), certain.float(), preset).isfinite().all())


def test_problems_know_nothing_of_each_other(preset):
    image, given = texture(13, 17), blobs(3, 2, 13, 17)
    together = sharpen(image, given, preset)
    for number in range(3):
        assert torch.allclose(together[number], sharpen(image, given[number], preset), atol=1e-4)


def test_labels_are_all_alike(preset):
    image, given, order = texture(13, 17), blobs(1, 4, 13, 17)[0], torch.tensor([2, 0, 3, 1])
    assert torch.allclose(sharpen(image, given[order], preset), sharpen(image, given, preset)[order], atol=1e-4)


def test_a_transposed_image_has_transposed_labels(preset):
    """Nearly: the lattice has another grain along x than along y."""
    image, given = texture(40, 56), blobs(1, 2, 40, 56)[0]
    labels = sharpen(image, given, preset).argmax(0)
    turned = sharpen(image.mT, given.mT, preset).argmax(0).mT
    assert (labels == turned).double().mean() > 0.97


def test_an_even_image_and_even_beliefs_stay_even(preset):
    """The larger share is only made larger."""
    given = torch.tensor([0.6, 0.4]).view(2, 1, 1).expand(2, 13, 17)
    sharpened = sharpen(torch.full((3, 13, 17), 90.0), given, preset)
    assert bool((sharpened[0] > 0.6).all())


def test_noise_is_cleaned_up_to_the_edge_of_the_image(preset):
    image = torch.zeros(3, 32, 40)
    image[:, :, 17:] = 200
    region = (torch.arange(40) >= 17).expand(32, 40)
    wrong = noise(32, 40) < 0.25
    certainty = torch.where(region ^ wrong, 0.8, 0.2)
    labels = sharpen(image, torch.stack([1 - certainty, certainty]), preset).argmax(0)
    assert labels.bool().equal(region)


def test_nothing_is_changed_in_place_and_the_lattice_is_used_again(preset):
    image, given = texture(13, 17), blobs(1, 2, 13, 17)[0]
    before = image.clone(), given.clone()
    field = DenseCrf(image, preset.gaussian, preset.bilateral)
    first = field.infer(given, preset.steps)
    assert field.infer(given, preset.steps).equal(first)
    assert image.equal(before[0])
    assert given.equal(before[1])


@pytest.mark.gpu
def test_a_gpu_gives_the_same_labels(preset):
    image, given = texture(40, 56), blobs(2, 3, 40, 56)
    there = sharpen(image.cuda(), given.cuda(), preset)
    assert there.is_cuda
    assert (there.argmax(1).cpu() == sharpen(image, given, preset).argmax(1)).double().mean() > 0.999


# --- refused ---


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.zeros(1, 4, 6), "image: shape [1, 4, 6]; expected [3,H,W]."),
        (torch.zeros(2, 3, 4, 6), "image: shape [2, 3, 4, 6]; expected [3,H,W]."),
        (torch.zeros(3, 0, 6), "image: shape [3, 0, 6]; expected [3,H,W]."),
        (torch.full((3, 4, 6), math.nan), "image: holds NaN or infinity; expected numbers."),
    ],
)
def test_what_is_no_image_is_refused(image, message):
    with pytest.raises(InputError) as caught:
        DenseCrf(image)
    assert str(caught.value) == message


def test_an_image_that_would_fill_the_memory_is_refused(monkeypatch):
    monkeypatch.setattr(crf, "MOST_PIXELS", 23)
    with pytest.raises(InputError, match=r"^image: 24 pixels; expected at most 23\.$"):
        DenseCrf(torch.zeros(3, 4, 6))


@pytest.mark.parametrize("deviation", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("place", range(3))
def test_a_deviation_has_to_be_above_0(deviation, place):
    deviations = [3.0, 40.0, 13.0]
    deviations[place] = deviation
    with pytest.raises(InputError) as caught:
        DenseCrf(torch.zeros(3, 4, 6), (deviations[0], 3.0), (deviations[1], deviations[2], 10.0))
    assert str(caught.value) == f"crf: standard deviation {deviation!r}; expected one above 0."


def test_a_lattice_with_more_cells_than_numbers_is_refused():
    with pytest.raises(InputError) as caught:
        DenseCrf(texture(4, 6), bilateral=(0.001, 0.001, 10.0))
    assert str(caught.value) == "crf: standard deviations too small for this image; expected larger ones."


@pytest.mark.parametrize("shape", [(2, 6, 4), (4, 6), (1, 1, 2, 4, 6)])
def test_other_pixels_are_refused(shape):
    with pytest.raises(InputError) as caught:
        DenseCrf(torch.zeros(3, 4, 6)).infer(torch.zeros(shape), 1)
    assert str(caught.value) == f"probability: shape {list(shape)}; expected [N,L,4,6] or [L,4,6]."


def test_what_is_no_probability_is_refused():
    with pytest.raises(InputError, match=r"^probability: holds NaN or infinity; expected numbers\.$"):
        DenseCrf(torch.zeros(3, 4, 6)).infer(torch.full((2, 4, 6), math.nan), 1)
