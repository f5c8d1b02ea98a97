"""Occlusion of scores whose parts are known."""

import torch

from mmoverlock.analysis.measures.occlusion import occlusion_map, window_of


def test_sum_of_pixels():
    """A score that is one pixel's value falls by it, less the median, wherever it is covered."""
    picture = torch.zeros(1, 3, 20, 20)
    picture[0, :, 5, 9] = 6

    def scores(inputs: torch.Tensor) -> torch.Tensor:
        value = inputs[:, 0, 5, 9]
        return torch.stack([value, -value], 1)

    assert window_of(20, 30) == 4
    # Windows begin at even pixels: (5, 9) is in the four that begin at rows 2, 4 and columns 6, 8.
    # Every pixel has the mean of its own windows' falls.
    covering = torch.zeros(20, 20)
    number = torch.zeros(20, 20)
    for top in range(0, 17, 2):
        for left in range(0, 17, 2):
            number[top : top + 4, left : left + 4] += 1
            if top in (2, 4) and left in (6, 8):
                covering[top : top + 4, left : left + 4] += 6
    found = occlusion_map(scores, picture, 0)
    torch.testing.assert_close(found, covering / number)
    torch.testing.assert_close(occlusion_map(scores, picture, 1), -found)


def test_plain_background():
    """Covering a plain background by its own colour changes nothing."""
    picture = torch.full((1, 3, 20, 20), 5.0)
    picture[..., :3, :3] = 9
    found = occlusion_map(lambda x: x.mean((2, 3)), picture, 1)
    # The windows that touch the corner end before pixel 6.
    assert (found[:6, :6] > 0).all() and not found[6:].any() and not found[:, 6:].any()
