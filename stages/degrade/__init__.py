"""Degradation as a pure function of theta: recipes draw theta, the engine applies it."""
