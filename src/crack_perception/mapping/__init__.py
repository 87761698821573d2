"""From what single frames show to one lasting map of cracks: association, fusion, storage, export."""
