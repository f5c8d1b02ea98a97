"""What models cost: parameters, multiply-adds, time and memory."""

from .measure import benchmark

__all__ = ['benchmark']
