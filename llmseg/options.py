"""Every list of names, default, limit and tooltip that a person can choose from.

The nodes, the command line, the error messages and the tests read these tables; each implementation
table (`attention.ATTENTION`, `modes.MODES` ...) has exactly the keys that stand here, and a
test says so. Standard library only, so that reading it never imports torch.

Not here: what the options do, what "auto" means for a model (`defaults`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = [
    "ACTIVATION",
    "ATTENTION",
    "AUTO",
    "AUTO_NUMBER",
    "BACKGROUND",
    "BBOX_LAYOUT",
    "CONTOUR",
    "COUNT",
    "CROP_FACTOR",
    "CUSTOM",
    "DTYPE",
    "GATE",
    "INCLUDE_NAMES",
    "KIND",
    "LAYOUT",
    "LIBRARY",
    "MASKS",
    "MIN_AREA",
    "MODE",
    "MODEL",
    "MODE_TEMPERATURE",
    "NAME_WEIGHT",
    "NETWORK",
    "OPACITY",
    "PROFILE",
    "REFINER",
    "REFRESH",
    "REGION",
    "REGION_AREA",
    "REGION_COUNT",
    "RESIZE",
    "SCALES",
    "SCENE",
    "SCORING",
    "SENTENCES",
    "STRIDE",
    "TABLE",
    "TEMPERATURE",
    "TEMPLATES",
    "THRESHOLD",
    "WINDOW",
    "Choice",
    "Number",
]

AUTO = "auto"  # a choice left to the model's own defaults
AUTO_NUMBER = -1  # the same for a number
CUSTOM = "custom"  # a choice that a person spells out elsewhere


@dataclass(frozen=True)
class Choice:
    """One name out of a table.

    Args:
        names: name -> one line that says what it is.
        default: the name offered first.
        tooltip: what the choice decides.
        auto: whether `AUTO` (the model's own default) may be chosen too.
    """

    names: Mapping[str, str]
    default: str
    tooltip: str
    auto: bool = False

    @property
    def choices(self) -> list[str]:
        """All names in the order shown to people, `AUTO` first where it is allowed."""
        return [AUTO, *self.names] if self.auto else list(self.names)

    @property
    def help(self) -> str:
        """The tooltip followed by one line per name."""
        lines = [f"{AUTO}: the model's own default"] if self.auto else []
        lines += [f"{name}: {text}" for name, text in self.names.items()]
        return "\n".join([self.tooltip, *lines])


@dataclass(frozen=True)
class Number:
    """A number with limits; `AUTO_NUMBER` (-1) is the model's own default where `minimum` is -1."""

    default: float
    minimum: float
    maximum: float
    step: float
    tooltip: str


def _table(**names: str) -> Mapping[str, str]:
    return MappingProxyType(names)


ATTENTION = Choice(
    _table(
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
    ),
    default=AUTO,
    tooltip="How the last block of the image tower mixes patches.",
    auto=True,
)

LAYOUT = Choice(
    _table(
        grid="the image is resized to whole patches and windows lie on the patch grid",
        published="proportions kept to the pixel and windows anywhere, as in published evaluations; scored exactly",
    ),
    default=AUTO,
    tooltip="How the image is resized and cut into windows.",
    auto=True,
)

SCORING = Choice(
    _table(
        fast="phrases are merged patch by patch, then class maps are enlarged",
        exact="the published order: scores are enlarged, then merged at every pixel",
    ),
    default=AUTO,
    tooltip="Where phrases compete: on the patch grid or at every pixel.",
    auto=True,
)

MODE = Choice(
    _table(
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
    _table(
        none="every class may be painted",
        simseg="at most five classes, whose names stand out for the whole image (arXiv:2404.00701)",
    ),
    default="none",
    tooltip="Which classes may be in an image at all.",
)

# Temperature of a mode where neither the person nor the model's defaults name one.
MODE_TEMPERATURE: Mapping[str, float] = MappingProxyType({"paper": 1.0, "blend": 0.05, "lme": 0.03})

TEMPLATES = Choice(
    _table(
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
    _table(
        yes="the class name is one of its own phrases",
        no="the class name stands in only where a class has no subclasses",
    ),
    default=AUTO,
    tooltip="Whether the class name joins its own subclasses.",
    auto=True,
)

LIBRARY = Choice(
    _table(
        auto="the model's own where it has one, else the first vocabulary that holds all the names, else everyday",
        off="no subclasses",
        # In the order in which auto tries them.
        emoji="42 groups of 406 drawings and 10 backgrounds: the world of the embedded model",
        cityscapes19="Cityscapes: streets seen from a car",
        voc21="PASCAL VOC: 20 things and background",
        context60="PASCAL-Context: 59 things and materials of scenes, and background",
        coco81="COCO: 80 things and background",
        ade150="ADE20K: 150 things and materials of rooms and places",
        cocostuff171="COCO-Stuff: 80 things and 91 materials",
        everyday="some 650 everyday objects, each name for itself",
    ),
    default="auto",
    tooltip="Where subclasses come from.",
)

BACKGROUND = Choice(
    _table(
        listed="only what the class names say",
        surroundings="a class 'background' of 26 things that are usually around: sky, wall, road, desk ... (SCLIP)",
    ),
    default="listed",
    tooltip="What stands for everything that was not asked for.",
)

KIND = Choice(
    _table(
        subclasses="kinds that can be told apart in a photo (arXiv:2404.00701)",
        synonyms="other words for the same thing (ITACLIP, arXiv:2411.12044)",
        definitions="one sentence that defines the class (ITACLIP)",
        descriptions="sentences on what the class looks like (CuPL, arXiv:2209.03320)",
    ),
    default="subclasses",
    tooltip="What the language model is asked for.",
)

SENTENCES = frozenset(("definitions", "descriptions"))  # kinds whose phrases are whole sentences

PROFILE = Choice(
    MappingProxyType(
        {
            "openai": "api.openai.com, with the key in OPENAI_API_KEY",
            "ollama": "Ollama on this machine, port 11434",
            "llama.cpp": "llama-server on this machine, port 8080",
            "lmstudio": "LM Studio on this machine, port 1234",
        }
    ),
    default="ollama",
    tooltip="Which language model service is asked. More of them can be named in llmseg.toml.",
)

NETWORK = Choice(
    _table(
        online="classes without a stored answer are asked",
        offline="stored answers only; other classes keep their name alone",
        frozen="stored answers only; a class without one is an error",
    ),
    default="online",
    tooltip="Whether language models may be asked.",
)

MODEL = Choice(
    MappingProxyType(
        {
            "embedded": "small, in this package, knows the emoji world only",
            "ViT-B-16-quickgelu/openai": "photographs; downloads 150 million weights once",
            "ViT-L-14-quickgelu/openai": "photographs; downloads 430 million weights once",
            "ViT-B-16/laion2b_s34b_b88k": "photographs; downloads 150 million weights once",
            "ViT-B-16-quickgelu/metaclip_fullcc": "photographs; downloads 150 million weights once",
        }
    ),
    default="embedded",
    tooltip="Which CLIP compares phrases with patches. Files in the model folders are listed too.",
)

SCENE = Choice(
    _table(
        park="oak, cottage, taxi, poodle and more on grass",
        harbour="boats, a whale and a duck on water",
        night="castle, owl and rocket under stars",
        table="food on a wooden table",
    ),
    default="park",
    tooltip="Which packaged scene.",
)

ACTIVATION = Choice(
    _table(
        gelu="exact GELU: LAION, DataComp and most others",
        quickgelu="x * sigmoid(1.702 x): OpenAI, MetaCLIP and most DFN weights",
    ),
    default=AUTO,
    tooltip="The nonlinearity the weights were trained with; the wrong one silently spoils every result.",
    auto=True,
)

REFINER = Choice(
    _table(
        none="maps as they are",
        bilateral="joint bilateral upsampling: class maps keep to the edges of the picture (Kopf et al. 2007)",
        pamr="maps flow between pixels of like colour (arXiv:2005.08104); score maps, as published, or class maps",
        simseg="each class by itself: stretched, dense CRF, closed, painted by its name's score (arXiv:2404.00701)",
    ),
    default=AUTO,
    tooltip="How maps are sharpened by the picture.",
    auto=True,
)

DTYPE = Choice(
    _table(
        float32="exact",
        float16="half the memory and more speed on GPUs; no gain on most processors",
        bfloat16="as float16 with fewer digits and a wider range",
    ),
    default=AUTO,
    tooltip="Number format of the image tower.",
    auto=True,
)

REGION = Choice(
    _table(
        component="every connected piece of a class; pixels touch by an edge or a corner",
        **{"class": "everything of a class"},
    ),
    default="component",
    tooltip="What counts as one region.",
)

MASKS = Choice(
    _table(
        each="one mask for each class and image, class after class, in step with Repeat Image Batch",
        union="one mask for each image, white where any of the classes is",
    ),
    default="each",
    tooltip="Which masks the batch holds.",
)

BBOX_LAYOUT = Choice(
    _table(
        xywh="(x, y, width, height), those of all images in one list: KJNodes",
        xyxy="(left, top, right, bottom), one list for each image: SAM 2 nodes",
    ),
    default="xywh",
    tooltip="What the BBOX output holds; packs disagree.",
)

TABLE = Choice(
    _table(
        text="the classes found, largest first, in columns",
        csv="every class, in the order of the labels, for spreadsheets",
        json="the same for programs",
    ),
    default="text",
    tooltip="How the table is written.",
)

COUNT = Number(7, 1, 20, 1, "Most phrases that a class keeps of those that the language model proposes.")
REFRESH = Number(0, 0, 1_000_000, 1, "Another number asks for new answers; those of the old number stay stored.")
WINDOW = Number(AUTO_NUMBER, -1, 4096, 1, "Side of the sliding window in pixels. -1: the model's own; 0: whole image.")
STRIDE = Number(
    AUTO_NUMBER, -1, 4096, 1, "Step of the sliding window in pixels. -1: the model's own; 0: half the window."
)
RESIZE = Number(AUTO_NUMBER, -1, 8192, 1, "Short side of the image in pixels. -1: the model's own; 0: keep the size.")
SCALES = Choice(
    _table(
        one="the image at its size (or at `resize`)",
        three="1.4, 0.7 and 0.35 of that: small and large objects, three times the work",
        five="1.4, 1, 0.7, 0.5 and 0.35: a little better still, four times the work",
        seven="2, 1.4, 1, 0.7, 0.5, 0.35 and 0.25: for many small objects, eight times the work",
    ),
    default=AUTO,
    tooltip="At which scales the image is looked at; the cosines of all are averaged at each patch.",
    auto=True,
)
TEMPERATURE = Number(
    AUTO_NUMBER, -1, 10, 0.001, "Softness of the mode: near 0 the best phrase wins. -1: the model's own."
)
NAME_WEIGHT = Number(AUTO_NUMBER, -1, 1, 0.01, "Share of the class name in mode 'blend'. -1: the model's own.")
THRESHOLD = Number(0.0, 0, 1, 0.01, "Pixels whose class is less likely than this become background, else unknown.")
MIN_AREA = Number(0.0, 0, 1, 0.001, "A class covering less than this share of the image is given up there.")
REGION_AREA = Number(0.001, 0, 1, 0.0005, "Regions covering less than this share of their image are left out.")
REGION_COUNT = Number(100, 1, 1000, 1, "Most regions of an image; the largest are kept.")
CROP_FACTOR = Number(3.0, 1, 100, 0.1, "Sides of the crop around a region over those of its box; 1 cuts tightly.")
OPACITY = Number(0.55, 0, 1, 0.05, "How strongly the class colours cover the picture.")
CONTOUR = Number(
    AUTO_NUMBER, -1, 32, 1, "Width of the outlines in pixels, in the class's colour. -1: a thin dark line; 0: none."
)
