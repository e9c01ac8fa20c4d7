"""Options of measuring: data sets, and ways to segment them as others published.

Not here: reading data sets, what a protocol sets (`llmseg.evaluation`).
"""

from __future__ import annotations

from .kinds import Choice, table

__all__ = ["DATASET", "PROTOCOL"]

DATASET = Choice(
    table(
        embedded="the 50 packaged scenes of the embedded model, 52 classes; needs no folder",
        folder="a folder of images, a folder of label pictures and a file of class names",
        voc21="PASCAL VOC 2012: 20 things and background",
        voc20="PASCAL VOC 2012 without background, whose pixels are not counted",
        context60="PASCAL Context: 59 classes and background",
        context59="PASCAL Context without background, whose pixels are not counted",
        object81="COCO-Object: 80 things; everything else, unlabelled too, is merged into background",
        stuff171="COCO-Stuff: 80 things and 91 materials",
        stuff27_merged="COCO-Stuff: the same 171 classes merged into their 27 supercategories",
        ade150="ADE20K: 150 classes; pixels of none of them are not counted",
        cityscapes19="Cityscapes: the 19 classes of its benchmark; pixels of others are not counted",
    ),
    default="embedded",
    tooltip="What is measured on; folders are laid out as their authors or mmsegmentation lay them out.",
)

PROTOCOL = Choice(
    table(
        sclip_voc21="SCLIP (arXiv:2312.01597) on voc21",
        sclip_context60="SCLIP on context60",
        sclip_object81="SCLIP on object81",
        sclip_voc20="SCLIP on voc20",
        sclip_cityscapes19="SCLIP on cityscapes19",
        sclip_context59="SCLIP on context59",
        sclip_ade150="SCLIP on ade150",
        sclip_stuff171="SCLIP on stuff171",
        naclip_voc21="NACLIP with PAMR (arXiv:2404.08181) on voc21",
        naclip_context60="NACLIP with PAMR on context60",
        naclip_object81="NACLIP with PAMR on object81",
        naclip_voc20="NACLIP with PAMR on voc20",
        naclip_cityscapes19="NACLIP with PAMR on cityscapes19",
        naclip_context59="NACLIP with PAMR on context59",
        naclip_ade150="NACLIP with PAMR on ade150",
        naclip_stuff171="NACLIP with PAMR on stuff171",
        clearclip_voc21="ClearCLIP (arXiv:2407.12442) on voc21",
        clearclip_context60="ClearCLIP on context60",
        clearclip_object81="ClearCLIP on object81",
        clearclip_voc20="ClearCLIP on voc20",
        clearclip_cityscapes19="ClearCLIP on cityscapes19",
        clearclip_context59="ClearCLIP on context59",
        clearclip_ade150="ClearCLIP on ade150",
        clearclip_stuff171="ClearCLIP on stuff171",
        simseg_voc21="SimSeg (CVPR 2023) on voc21, class names alone",
        paper_voc21="SimSeg on voc21 with the subclasses of a list: arXiv:2404.00701",
    ),
    default="sclip_voc21",
    tooltip="Every setting of a published figure: resize, windows, attention, class names, thresholds.",
)
