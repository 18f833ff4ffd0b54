"""What a person sees on a real terminal: typed with tmux, and read off its screen."""
