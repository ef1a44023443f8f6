"""A model's shape and a configuration in, bytes, operations, hours and money out, before anything is loaded.

Arithmetic alone: nothing here imports torch. `midefics.vlm.shape` reads the shape off the real modules.
"""
