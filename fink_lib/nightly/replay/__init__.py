"""Making a night again: beside the live one, compared with it, then promoted in its place or thrown away."""
