"""The parts of a detector's graph: from feature maps to a fixed number of boxes per picture.

What mmdet does picture by picture, in lists of any length, is done here for all pictures at once.
Rows that hold nothing have the score -1 until the last step, and no part of a graph depends on how
many there are.
"""
