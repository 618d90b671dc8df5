"""What the console script and the commands for supervisorctl share."""
