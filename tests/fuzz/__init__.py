"""What reads images, under inputs that somebody would make who means harm."""
