"""Node packs of other people, loaded as ComfyUI loads them.

problems    what a pack lacks, in one line
modules     finding and importing
loading     what packs register, added to a registry
"""
