"""What the console script and the commands for supervisorctl share.

It speaks XML-RPC and imports nothing of the server side.
"""
