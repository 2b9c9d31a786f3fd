"""Pictures of attention: what a kernel takes and where it lays it out have the same colour."""

import torch
from torch import Tensor

from facerefs.trainers.models.ented_pictures import attention_pictures


def one_hot(rows: list[list[int]], side: int) -> Tensor:
    """A map for each list of places: (1, k, side * side)."""
    maps = torch.zeros(1, len(rows), side * side)
    for number, places in enumerate(rows):
        maps[0, number, places] = 1
    return maps


def named(image: Tensor, row: int, column: int) -> str:
    """Which of the colours is strongest in a pixel of an image (3, H, W); `gray` if none."""
    values = [value > image[:, row, column].mean().item() + 0.1 for value in image[:, row, column].tolist()]
    return {
        (True, False, False): "red",
        (False, True, False): "green",
        (False, False, True): "blue",
        (True, True, False): "yellow",
        (False, False, False): "gray",
    }[(values[0], values[1], values[2])]


def test_a_kernel_has_one_colour_where_it_takes_and_where_it_lays() -> None:
    """The first kernel carries the left pixel to the right half, the second the right one to the left half."""
    reference = torch.zeros(1, 3, 4, 4)
    reference[..., :2] = 0.5
    taken = one_hot([[0], [3]], 2)  # top left, bottom right
    laid = one_hot([[1, 3], [0, 2]], 2)  # right half, left half
    pictures = attention_pictures(reference, torch.zeros(1, 3, 4, 4), taken, laid)
    assert list(pictures) == ["carried", "taken", "laid"]
    assert all(image.shape == (1, 3, 4, 4) for image in pictures.values())
    assert named(pictures["taken"][0], 0, 0) == named(pictures["laid"][0], 0, 3) == "red"
    assert named(pictures["taken"][0], 3, 3) == named(pictures["laid"][0], 3, 0) == "green"
    assert named(pictures["taken"][0], 0, 3) == "gray"  # nothing is taken there
    assert pictures["carried"][0, 0, 0, 0] == 0  # of the right pixel
    assert pictures["carried"][0, 0, 0, 3] == 0.5


def test_kernels_that_do_the_same_are_shown_after_others() -> None:
    """Six kernels, five of them alike: both kinds are among those shown, and the odd one is not hidden."""
    laid = one_hot([[0, 1]] * 5 + [[2, 3]], 2) * torch.tensor([0.2] * 5 + [1.0])[None, :, None]
    taken = one_hot([[0]] * 5 + [[3]], 2)
    pictures = attention_pictures(torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2), taken, laid)
    first = named(pictures["laid"][0], 1, 0)
    assert first == "red"  # varies most
    assert named(pictures["laid"][0], 0, 0) == "green"
    assert named(pictures["taken"][0], 1, 1) == "red"


def test_one_kernel_and_flat_maps_are_shown_too() -> None:
    flat = torch.full((2, 1, 16), 1 / 16)
    pictures = attention_pictures(
        torch.zeros(2, 3, 8, 8), torch.zeros(2, 3, 8, 8), flat, torch.ones(2, 1, 16)
    )
    assert all(torch.isfinite(image).all() and image.abs().max() <= 1 for image in pictures.values())


def test_a_kernel_that_is_laid_nowhere_hides_nothing() -> None:
    taken, laid = one_hot([[0], [1], [3]], 2), one_hot([[0, 1], [2, 3], []], 2)
    pictures = attention_pictures(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4), taken, laid)
    assert torch.isfinite(pictures["laid"]).all()
    assert {named(pictures["laid"][0], row, 0) for row in (0, 3)} == {"red", "green"}
