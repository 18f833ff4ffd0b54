"""What becomes of targets, images and restarts when something fails."""
