"""What a photo of a rendered head shows: eyes, mouth, body, backdrop, light, camera rays."""
