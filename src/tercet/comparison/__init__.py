"""Several runs of several variants: which one is better?"""
