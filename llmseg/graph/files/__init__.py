"""Workflow files, hostile until shown otherwise: from bytes to the UI form, the API form, or one clear line.

byte_reader   a bounded, counted reader
texts         texts that a picture carries, packed or not
json_text     JSON with limits, strict about duplicate keys
envelopes     the two forms in whatever a server or client wrapped around them
exif          the few EXIF values that carry a workflow
pictures      PNG, WEBP, JPEG and others, without decoding a pixel
carriers      which kind of file it is, by content
workflow      all of it together
object_info   a server's node definitions
"""
