"""Model files and names -> weights with everything that is needed to run them; and `python -m llmseg.models`.

    model_weights, library_weights, simseg              what is read: a record for each kind of model
    catalogue, downloads, fetching                      which models have names, where they are, getting them
    bags, torchscript, checkpoint                       files as tensors, whatever they claim
    layouts, hub_config, clip_files                     CLIPs out of files in any of the usual layouts
    named_models                                        models by open_clip's names, and towers of timm
    weights                                             the table of all of these, by which a file is recognised
    command                                             list, get and where

Nothing is imported before it is needed. Not here: towers (`llmseg.vit`, `llmseg.towers`), running (`llmseg.encoder`).
"""
