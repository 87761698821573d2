"""The crack_perception command, one short file a verb."""
