"""What reaches into the running supervisord."""
