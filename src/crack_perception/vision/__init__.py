"""Images: encodings, tiling, regions and annotation; arrays in, arrays out."""
