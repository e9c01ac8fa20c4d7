"""Options of the engine, from the picture and the phrases to labels.

Not here: what "auto" means for a model (`llmseg.defaults`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from .kinds import AUTO, AUTO_NUMBER, Choice, Number, table

__all__ = [
    "ATTENTION",
    "BACKGROUND",
    "COMPACTNESS",
    "FLIPS",
    "GATE",
    "INCLUDE_NAMES",
    "LAYOUT",
    "MIN_AREA",
    "MODE",
    "MODE_TEMPERATURE",
    "NAME_WEIGHT",
    "REFINER",
    "RESIZE",
    "SCALES",
    "SCORING",
    "STRIDE",
    "SUPERPIXELS",
    "TEMPERATURE",
    "TEMPLATES",
    "THRESHOLD",
    "WINDOW",
]

ATTENTION = Choice(
    table(
        vanilla="the last block as trained",
        maskclip="every patch keeps its own value (arXiv:2112.01071)",
        surgery="value-value attention of the last six blocks, added up (CLIP Surgery, arXiv:2304.05653)",
        gem="self-self attention by direction, last six blocks (arXiv:2312.00878)",
        sclip="query-query plus key-key attention (arXiv:2312.01597)",
        clearclip="query-query attention, no residual, no FFN (arXiv:2407.12442)",
        naclip="key-key attention with a Gaussian neighbourhood, no residual, no FFN (arXiv:2404.08181)",
        itaclip="self-self attention mixed with that of three earlier blocks (arXiv:2411.12044)",
        scclip="outliers mended, patches smoothed by earlier features (arXiv:2411.15869)",
        resclip="naclip with earlier blocks' maps and a second look at what the first saw (arXiv:2411.15851)",
        stitched="naclip over the patches of all windows at once (after OV-Stitcher, CVPR 2026 Findings)",
        proxyclip="patches mix as a DINO backbone finds them alike, no residual, no FFN (arXiv:2408.04883)",
    ),
    default=AUTO,
    tooltip="How the last block of the image tower mixes patches.",
    auto=True,
)

LAYOUT = Choice(
    table(
        grid="the image is resized to whole patches and windows lie on the patch grid",
        published="proportions kept to the pixel and windows anywhere, as in published evaluations; scored exactly",
        squash="the image is squeezed to a square, as SimSeg was trained; windows lie on the patch grid",
    ),
    default=AUTO,
    tooltip="How the image is resized and cut into windows.",
    auto=True,
)

SCORING = Choice(
    table(
        fast="phrases are merged patch by patch, then class maps are enlarged",
        exact="the published order: scores are enlarged, then merged at every pixel",
    ),
    default=AUTO,
    tooltip="Where phrases compete: on the patch grid or at every pixel.",
    auto=True,
)

MODE = Choice(
    table(
        off="class names only; subclasses are ignored",
        paper="image-conditioned mean of the phrase maps (arXiv:2404.00701)",
        blend="class name and image-conditioned mean of the phrases, mixed by name_weight",
        lme="log-mean-exp over the phrases: between mean and max, does not favour long lists",
        topk="mean of the two best phrases at each patch",
        max="the best phrase at each patch; favours long lists",
        softmax_max="the best phrase's probability among all phrases (SCLIP, NACLIP); long lists weaken all others",
        softmax_sum="probability that any phrase of the class is right; favours long lists",
        chils="phrase probability times class-name probability, the best one counts (arXiv:2302.02551)",
        vote="the best phrase of all takes the patch for its class",
    ),
    default=AUTO,
    tooltip="How the maps of a class's phrases become one map.",
    auto=True,
)

GATE = Choice(
    table(
        none="every class may be painted",
        simseg="at most five classes, whose names stand out for the whole image (arXiv:2404.00701)",
    ),
    default="none",
    tooltip="Which classes may be in an image at all.",
)

# Temperature of a mode where neither the person nor the model's defaults name one.
MODE_TEMPERATURE: Mapping[str, float] = MappingProxyType({"paper": 1.0, "blend": 0.05, "lme": 0.03})

TEMPLATES = Choice(
    table(
        bare="the phrase itself",
        single="'a photo of a {}.'",
        captions6="six caption-like frames, with and without article",
        short7="the seven frames that CLIP's authors found to do nearly as well as eighty",
        openai80="the eighty frames of CLIP's authors for ImageNet, and of SimSeg; eleven times the work of short7",
        surgery85="openai80 and five frames of a thing in a scene (CLIP Surgery, arXiv:2304.05653)",
        custom="frames of your own, in custom_templates",
    ),
    default=AUTO,
    tooltip="The sentences in which a phrase is shown to the text tower; their embeddings are averaged.",
    auto=True,
)

INCLUDE_NAMES = Choice(
    table(
        yes="the class name is one of its own phrases",
        no="the class name stands in only where a class has no subclasses",
    ),
    default=AUTO,
    tooltip="Whether the class name joins its own subclasses.",
    auto=True,
)

BACKGROUND = Choice(
    table(
        listed="only what the class names say",
        surroundings="a class 'background' of 26 things that are usually around: sky, wall, road, desk ... (SCLIP)",
    ),
    default="listed",
    tooltip="What stands for everything that was not asked for.",
)

REFINER = Choice(
    table(
        none="maps as they are",
        bilateral="joint bilateral upsampling: class maps keep to the edges of the picture (Kopf et al. 2007)",
        pamr="maps flow between pixels of like colour (arXiv:2005.08104); score maps, as published, or class maps",
        guided="guided filter after bilateral: edges to the pixel, soft where colours are (He et al. 2010)",
        superpixels="small pieces of like colour take one class after bilateral; needs scikit-image (SLIC)",
        regions="masks that you connect take one class each, after bilateral (as in CorrCLIP, arXiv:2411.10086)",
        crf="fully connected CRF at all pixels, by SimSeg's numbers; faster where pydensecrf2 is installed",
        crf_deeplab="the same by DeepLab's numbers: farther reach, half as much time again (arXiv:1412.7062)",
        lposs="score maps flow between patches that a DINO backbone finds alike (arXiv:2503.19777)",
        simseg="each class by itself: stretched, dense CRF, closed, painted by its name's score (arXiv:2404.00701)",
    ),
    default=AUTO,
    tooltip="How maps are sharpened by the picture.",
    auto=True,
)

SCALES = Choice(
    table(
        one="the image at its size (or at `resize`)",
        three="1.4, 0.7 and 0.35 of that: small and large objects, three times the work",
        five="1.4, 1, 0.7, 0.5 and 0.35: a little better still, four times the work",
        seven="2, 1.4, 1, 0.7, 0.5, 0.35 and 0.25: for many small objects, eight times the work",
    ),
    default=AUTO,
    tooltip="At which scales the image is looked at; the cosines of all are averaged at each patch.",
    auto=True,
)

SUPERPIXELS = Number(150, 1, 1000, 1, "About how many superpixels; their masks are as many full-size maps.")
COMPACTNESS = Number(30.0, 0.01, 1000, 0.5, "Large numbers make squares, small ones keep to the colours.")

FLIPS = Choice(
    table(
        none="the image as it is",
        horizontal="and its mirror image: steadier maps, twice the work",
    ),
    default="none",
    tooltip="Whether mirror images are looked at too; the cosines of both are averaged at each patch.",
)
WINDOW = Number(AUTO_NUMBER, -1, 4096, 1, "Side of the sliding window in pixels. -1: the model's own; 0: whole image.")

STRIDE = Number(
    AUTO_NUMBER, -1, 4096, 1, "Step of the sliding window in pixels. -1: the model's own; 0: half the window."
)
RESIZE = Number(AUTO_NUMBER, -1, 8192, 1, "Short side of the image in pixels. -1: the model's own; 0: keep the size.")

TEMPERATURE = Number(
    AUTO_NUMBER, -1, 10, 0.001, "Softness of the mode: near 0 the best phrase wins. -1: the model's own."
)
NAME_WEIGHT = Number(AUTO_NUMBER, -1, 1, 0.01, "Share of the class name in mode 'blend'. -1: the model's own.")
THRESHOLD = Number(0.0, 0, 1, 0.01, "Pixels whose class is less likely than this become background, else unknown.")
MIN_AREA = Number(0.0, 0, 1, 0.001, "A class covering less than this share of the image is given up there.")
