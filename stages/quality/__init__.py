"""How good a face image is: sharpness, NIQE, BRISQUE; and the one door to basicsr."""
