"""The two stories, checkpoint and restart, and what leads up to them."""
