"""Degradation by a scale factor, for super-resolution."""

from facerefs.stages.degrade.recipe import Pass, RandomResize, Recipe
from facerefs.stages.degrade.recipes import RECIPES


def bicubic_by(factor: int) -> Recipe:
    """The degradation of a scale factor: MATLAB's antialiased bicubic reduction and nothing else."""
    resize = RandomResize(reduction_choices=(float(factor),), modes=("bicubic_antialias",))
    return Recipe(f"bicubic_{factor}", (Pass(resize=resize),))


def check_reduces(degradation: str | Recipe, factor: int) -> None:
    """Raise ValueError unless faces are reduced by the factor; blur, noise and JPEG may be added (RPF, IV.D)."""
    recipe = RECIPES.get(degradation) if isinstance(degradation, str) else degradation
    resizes = [] if recipe is None else [one.resize for one in recipe.rounds if one.resize is not None]
    by = {
        reduction
        for resize in resizes
        for reduction in (*resize.reduction_choices, *(resize.reduction or ()))
    }
    name = degradation if isinstance(degradation, str) else degradation.name
    if len(resizes) != 1 or by != {factor} or (recipe is not None and recipe.ending is not None):
        raise ValueError(
            f"shape.factor={factor} wants faces that are reduced once, by {factor}, not by data.degradation={name}: "
            f"take a preset of this factor, or write a recipe whose only resize has reduction_choices [{factor}]"
        )
