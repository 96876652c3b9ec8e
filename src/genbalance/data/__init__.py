"""Where images come from, how they are split and stored, how pixels map to each network's range."""
