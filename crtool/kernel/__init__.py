"""System calls that crtool makes itself."""
