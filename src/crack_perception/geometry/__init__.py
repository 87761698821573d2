"""Where a pixel is in the world, and how sure: cameras, poses, ranges, covariance."""
