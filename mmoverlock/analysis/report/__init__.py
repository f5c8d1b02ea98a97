"""The report: one HTML file that needs no other."""

from .html import write_report

__all__ = ['write_report']
