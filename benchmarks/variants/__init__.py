"""Find what one command measures: a bundle's models on each device, the torch student, peers and a browser."""
