"""Whether an installation works, and fast: ``mmoverlock doctor``.

Nothing here imports PyTorch or another library, nor the rest of mmoverlock: what is looked at may
be missing, broken, or crash. It is imported in processes of its own, :mod:`.probing`.
"""
