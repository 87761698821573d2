"""Which mapped crack each line of a frame shows: candidates, alignment of the frame, parallel lines."""
