"""The paper's Tables 1-4 measured again on a folder of labelled images."""
