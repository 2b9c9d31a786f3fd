"""`facerefs restore`: restore the faces of photos with a trained model."""
