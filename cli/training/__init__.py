"""The commands that make models and measure how well they rank."""
