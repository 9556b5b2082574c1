"""The model: tokens in, one embedding a sentence out; its modules and its directory."""
