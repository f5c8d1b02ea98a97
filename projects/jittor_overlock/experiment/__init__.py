"""The alignment experiment: the same network trained by two frameworks on the same batches.

Both environments import it: nothing here needs more than NumPy, but for the two learners.
"""
