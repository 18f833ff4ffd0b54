"""What the documents show, done."""
