"""Log what a run has seen, and warn if the training fails.

monitoring.py      MonitoringTrainer: log the statistics of batches, and give them to the monitor
monitor.py         warn if the training fails, by these statistics
log_stats.py       sum the statistics of batches for an entry of the log
unread_stats.py    statistics that are still on the device
weight_changes.py  whether a run has changed the weights
callbacks.py       progress bar, stop at Ctrl-C, evaluation intervals, step timer
"""
