"""How frames get onto the terminal and keys off it: what Textual leaves to be saved on a slow line."""
