"""Labels that the rest of the data disputes."""
