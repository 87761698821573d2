"""Images: encodings, files and damage checks."""
