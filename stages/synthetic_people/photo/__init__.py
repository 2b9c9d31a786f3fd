"""A photo of a synthetic head: eyes, mouth, body, backdrop, light, camera rays."""
