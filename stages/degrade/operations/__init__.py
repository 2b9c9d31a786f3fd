"""What each operation of theta does to pixels: blur, resizing, noise, JPEG, colour; batched over images in torch."""
