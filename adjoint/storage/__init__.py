"""Where snapshots are kept: slots in memory, rows in a file, and the engines that move them."""
