"""The spilling stack: kept states form one stack whose bottom is in the file."""
