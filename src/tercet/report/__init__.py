"""What a run or a data set looks like, as figures and as one HTML file; needs the extra `report`."""
