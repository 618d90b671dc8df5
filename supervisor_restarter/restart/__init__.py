"""What a restart is; it knows nothing of XML-RPC, sockets and signals."""
