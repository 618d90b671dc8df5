"""What a restart is; it knows nothing of XML-RPC, sockets, signals or its clock's source."""
