"""Are these labelled data fit to train on? Facts about texts, doubtful labels, and what batches would hold."""
