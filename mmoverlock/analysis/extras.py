"""The libraries of the extra ``analysis``, imported where they are needed."""

from functools import partial

from mmoverlock.utils import extras

extra = partial(extras.extra, name='analysis')
